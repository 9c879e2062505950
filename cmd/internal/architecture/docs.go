package architecture

import (
	"go/ast"
	"slices"
)

// undocumented finds exported names without a sentence of their own. Methods whose meaning is fixed
// by the standard library need none, nor do the names of a documented group.
func undocumented(f *file) []Finding {
	if f.ast.Name.Name == "main" {
		return nil
	}
	var found []Finding
	missing := func(id *ast.Ident, doc ...*ast.CommentGroup) {
		if id.IsExported() && !slices.ContainsFunc(doc, func(c *ast.CommentGroup) bool { return c != nil }) {
			found = append(found, f.find(id.Pos(), "doc", "%s is exported and says nothing: units, errors, who owns what", id.Name))
		}
	}
	for _, d := range f.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if !fixedMeaning(d) {
				missing(d.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					missing(spec.Name, d.Doc, spec.Doc)
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						missing(name, d.Doc, spec.Doc, spec.Comment)
					}
				}
			}
		}
	}
	return found
}

// fixedMeaning is true for methods of unexported types and for those of fmt, errors, io, net and the
// like that are what everybody knows them to be.
func fixedMeaning(fn *ast.FuncDecl) bool {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return false
	}
	if id := root(receiver(fn.Recv.List[0].Type)); id != nil && !id.IsExported() {
		return true
	}
	return slices.Contains([]string{"String", "Error", "Unwrap", "Is", "Len", "Less", "Swap"}, fn.Name.Name)
}

func receiver(e ast.Expr) ast.Expr {
	if star, ok := e.(*ast.StarExpr); ok {
		return star.X
	}
	return e
}
