package architecture

import (
	"go/ast"
	"go/token"
	"strings"
)

// globals finds package variables that change: two tests, or two servers in one process, would share
// them. Without type information it sees assignments and locks, not methods that change their receiver.
func globals(files []*file) []Finding {
	vars := make(map[string]map[string]bool) // package -> name
	var found []Finding
	for _, f := range files {
		if f.test {
			continue
		}
		for _, spec := range packageVars(f) {
			for _, name := range spec.Names {
				if vars[f.pkg] == nil {
					vars[f.pkg] = make(map[string]bool)
				}
				vars[f.pkg][name.Name] = true
				if p, typ := f.selector(spec.Type); strings.HasPrefix(p, "sync") {
					found = append(found, f.find(name.Pos(), "global", "package variable %s is a %s.%s: its state belongs in a struct", name.Name, p, typ))
				}
			}
		}
	}
	for _, f := range files {
		if f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				found = append(found, assigned(f, fn, vars[f.pkg])...)
			}
		}
	}
	return found
}

func packageVars(f *file) []*ast.ValueSpec {
	var specs []*ast.ValueSpec
	for _, d := range f.ast.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
			for _, s := range g.Specs {
				specs = append(specs, s.(*ast.ValueSpec))
			}
		}
	}
	return specs
}

// assigned finds the package variables that fn assigns to, whole or in part.
func assigned(f *file, fn *ast.FuncDecl, vars map[string]bool) []Finding {
	var found []Finding
	check := func(target ast.Expr) {
		id := root(target)
		if id == nil || !vars[id.Name] {
			return
		}
		// The parser resolves names within a file: what it resolved to something that is not a
		// package variable is a local of the same name.
		if id.Obj != nil {
			if spec, ok := id.Obj.Decl.(*ast.ValueSpec); !ok || !isPackageVar(f, spec) {
				return
			}
		}
		found = append(found, f.find(target.Pos(), "global", "package variable %s changes here: its state belongs in a struct", id.Name))
	}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, target := range n.Lhs {
					check(target)
				}
			}
		case *ast.IncDecStmt:
			check(n.X)
		}
		return true
	})
	return found
}

func isPackageVar(f *file, spec *ast.ValueSpec) bool {
	for _, s := range packageVars(f) {
		if s == spec {
			return true
		}
	}
	return false
}

// root is x in x, x.f, x[i] and *x.
func root(e ast.Expr) *ast.Ident {
	for {
		switch t := e.(type) {
		case *ast.Ident:
			return t
		case *ast.SelectorExpr:
			e = t.X
		case *ast.IndexExpr:
			e = t.X
		case *ast.StarExpr:
			e = t.X
		case *ast.ParenExpr:
			e = t.X
		default:
			return nil
		}
	}
}
