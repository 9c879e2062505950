// Package architecture checks the shape of this module: who may import whom, which packages decide
// without doing, and the budgets that keep its files and functions readable. It is a test, not a
// tool: its rules are this module's.
package architecture

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const module = "github.com/bedside-video/bedside/"

// Finding is one place that breaks a rule.
type Finding struct {
	File string // slash-separated, from the module's root
	Line int
	Rule string // short and stable, such as "clock"
	What string // what is there, and why it should not be
}

func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: [%s] %s", f.File, f.Line, f.Rule, f.What)
}

// file is one parsed source file.
type file struct {
	name  string
	pkg   string // its directory from the module's root; "" is the root
	test  bool
	lines int
	fset  *token.FileSet
	ast   *ast.File
}

func (f *file) line(p token.Pos) int { return f.fset.Position(p).Line }

// find makes a Finding at p.
func (f *file) find(p token.Pos, rule, format string, args ...any) Finding {
	return Finding{File: f.name, Line: f.line(p), Rule: rule, What: fmt.Sprintf(format, args...)}
}

// Check reads every Go file of the module rooted at fsys, except generated ones and those that the
// go command ignores, and returns what breaks a rule, by file and line, and the sizes by package.
func Check(fsys fs.FS) ([]Finding, []Size, error) {
	files, err := parse(fsys)
	if err != nil {
		return nil, nil, err
	}
	var found []Finding
	for _, f := range files {
		found = append(found, sleeps(f)...)
		if f.test {
			continue
		}
		found = append(found, imports(f)...)
		found = append(found, purity(f)...)
		found = append(found, goroutines(f)...)
		found = append(found, budgets(f)...)
		found = append(found, undocumented(f)...)
	}
	found = append(found, globals(files)...)
	slices.SortFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule))
	})
	return found, sizes(files), nil
}

func parse(fsys fs.FS) ([]*file, error) {
	var files []*file
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case name == ".":
			return nil
		case strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata":
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, name, src, parser.ParseComments)
		if err != nil {
			return err
		}
		if ast.IsGenerated(tree) {
			return nil
		}
		pkg := path.Dir(name)
		if pkg == "." {
			pkg = ""
		}
		files = append(files, &file{
			name: name, pkg: pkg, test: strings.HasSuffix(name, "_test.go"),
			lines: strings.Count(string(src), "\n"), fset: fset, ast: tree,
		})
		return nil
	})
	return files, err
}

// selector returns the import path and name of an expression such as time.Now.
func (f *file) selector(e ast.Expr) (importPath, name string) {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	// A local variable of the same name has an Obj; a package has none.
	id, ok := sel.X.(*ast.Ident)
	if !ok || id.Obj != nil {
		return "", ""
	}
	for _, spec := range f.ast.Imports {
		p := strings.Trim(spec.Path.Value, `"`)
		local := path.Base(p)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		if local == id.Name {
			return p, sel.Sel.Name
		}
	}
	return "", ""
}
