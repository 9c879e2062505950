package architecture

import (
	"fmt"
	"go/ast"
	"go/token"
)

// The budgets bound the tail: medians are alike in every code base, and what is hard to read is the
// one file of 3,000 lines, the one function of 600 and the one type of 70 fields.
const (
	maxFile      = 500
	maxFunction  = 80
	maxFields    = 20
	maxInterface = 5
)

// Size is what one package weighs, tests left out.
type Size struct {
	Package                string
	Lines, TestLines       int
	LongestFile, LongestFn int // in lines
	LongestFnName          string
	Fields                 int // of the largest struct
	Methods                int // of the largest interface
}

func (s Size) String() string {
	return fmt.Sprintf("%-26s %6d %6d %6d %6d %6d %6d  %s", s.Package, s.Lines, s.TestLines, s.LongestFile, s.Fields, s.Methods,
		s.LongestFn, s.LongestFnName)
}

// Header names the columns of Size.String.
const Header = "package                     lines  tests   file fields methds   func  (the longest)"

// budgets checks one file, and that it has no init.
func budgets(f *file) []Finding {
	var found []Finding
	over := func(p token.Pos, what string, n, budget int) {
		if n > budget {
			found = append(found, f.find(p, "size", "%s has %d, the budget is %d: find the noun that wants to leave", what, n, budget))
		}
	}
	over(f.ast.Package, "file: lines", f.lines, maxFile)
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			over(n.Pos(), "function "+n.Name.Name+": lines", length(f, n), maxFunction)
			if n.Name.Name == "init" && n.Recv == nil {
				found = append(found, f.find(n.Pos(), "init", "init() runs before anybody can pass it anything: use a constructor"))
			}
		case *ast.TypeSpec:
			fields, methods := members(n)
			over(n.Pos(), "struct "+n.Name.Name+": fields", fields, maxFields)
			over(n.Pos(), "interface "+n.Name.Name+": methods", methods, maxInterface)
		}
		return true
	})
	return found
}

func length(f *file, fn *ast.FuncDecl) int { return f.line(fn.End()) - f.line(fn.Pos()) + 1 }

// members counts the fields of a struct type and the methods of an interface type.
func members(t *ast.TypeSpec) (fields, methods int) {
	count := func(list *ast.FieldList) (n int) {
		for _, field := range list.List {
			n += max(1, len(field.Names))
		}
		return n
	}
	switch typ := t.Type.(type) {
	case *ast.StructType:
		return count(typ.Fields), 0
	case *ast.InterfaceType:
		for _, m := range typ.Methods.List {
			if _, ok := m.Type.(*ast.FuncType); ok {
				methods++
			}
		}
	}
	return 0, methods
}

// sizes sums up the files by package, in the order in which they come.
func sizes(files []*file) []Size {
	var all []Size
	for _, f := range files {
		if len(all) == 0 || all[len(all)-1].Package != f.pkg {
			all = append(all, Size{Package: f.pkg})
		}
		s := &all[len(all)-1]
		if f.test {
			s.TestLines += f.lines
			continue
		}
		s.Lines += f.lines
		s.LongestFile = max(s.LongestFile, f.lines)
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if l := length(f, n); l > s.LongestFn {
					s.LongestFn, s.LongestFnName = l, n.Name.Name
				}
			case *ast.TypeSpec:
				fields, methods := members(n)
				s.Fields, s.Methods = max(s.Fields, fields), max(s.Methods, methods)
			}
			return true
		})
	}
	return all
}
