package architecture

import (
	"go/ast"
	"slices"
	"strings"
)

// purity checks that a pure package reads no clock and starts nothing. What it may import is
// checked by imports.
func purity(f *file) []Finding {
	if !slices.ContainsFunc(layers(), func(l layer) bool { return l.pkg == f.pkg && l.pure }) {
		return nil
	}
	reads := []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}
	var found []Finding
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, f.find(n.Pos(), "go", "a goroutine in a pure package: what it does could not be stepped"))
		case *ast.SelectorExpr:
			if p, name := f.selector(n); p == "time" && slices.Contains(reads, name) {
				found = append(found, f.find(n.Pos(), "clock", "time.%s in a pure package: the time is an argument, so that tests choose it", name))
			}
		}
		return true
	})
	return found
}

// sleeps finds time.Sleep, in tests and elsewhere. The simulation's Advance is the only caller: in a
// bubble it lets virtual time pass.
func sleeps(f *file) []Finding {
	var found []Finding
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && f.pkg == "bench/sim" && fn.Name.Name == "Advance" {
			continue
		}
		ast.Inspect(d, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			if p, name := f.selector(e); p == "time" && name == "Sleep" {
				found = append(found, f.find(n.Pos(), "sleep", "time.Sleep: wait for a named condition with a deadline; a sleep is too short on a busy machine, too long on others, and nothing can interrupt it"))
			}
			return true
		})
	}
	return found
}

// goroutines checks that the body of every goroutine is a function named run…, which its owner
// waits for: then a search for "run" finds all of them.
func goroutines(f *file) []Finding {
	var found []Finding
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			if !isRun(n.Call.Fun) {
				found = append(found, f.find(n.Pos(), "run", "a goroutine whose body is not named run…: its owner cannot be found"))
			}
		case *ast.CallExpr:
			// sync.WaitGroup.Go and errgroup.Group.Go
			sel, ok := n.Fun.(*ast.SelectorExpr)
			if ok && sel.Sel.Name == "Go" && len(n.Args) == 1 && !isRun(n.Args[0]) {
				found = append(found, f.find(n.Pos(), "run", "a goroutine whose body is not named run…: its owner cannot be found"))
			}
		}
		return true
	})
	return found
}

// isRun tells whether a goroutine's body is named run…, or is a literal that calls one.
func isRun(body ast.Expr) bool {
	named := func(e ast.Expr) bool {
		switch e := e.(type) {
		case *ast.Ident:
			return strings.HasPrefix(e.Name, "run")
		case *ast.SelectorExpr:
			return strings.HasPrefix(e.Sel.Name, "run")
		}
		return false
	}
	lit, ok := body.(*ast.FuncLit)
	if !ok {
		return named(body)
	}
	calls := false
	ast.Inspect(lit.Body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && named(call.Fun) {
			calls = true
		}
		return !calls
	})
	return calls
}
