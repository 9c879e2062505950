// Package result is what a run of the load generator comes to: the document that is kept of it, the
// figures that objectives are held against, and the verdict. It is pure; format.md describes the
// document field by field.
package result
