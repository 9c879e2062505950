// Package audit keeps the audit log: an append-only Merkle log on disk in which nobody can change,
// remove, reorder or add a record unnoticed who does not hold the signing key.
package audit
