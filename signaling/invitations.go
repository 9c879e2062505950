package signaling

import (
	"crypto/sha256"
	"sync"
)

// invitations says whose an invitation is. All of it follows from the records and the secret, so it
// is kept in memory only, and read from the records at a start: opening a consultation writes to the
// disk once, however many are invited, and nothing can be left half written. Whoever reads the memory
// finds hashes. Limits.Consultations bounds it: some 200 bytes each for the people of those.
type invitations struct {
	tokens *tokens

	mu sync.RWMutex
	of map[[sha256.Size]byte]invitee
}

// invitee is whom an invitation is for, and of which epoch it is.
type invitee struct {
	consultation, participant string
	epoch                     uint32
}

func newInvitations(t *tokens) *invitations {
	return &invitations{tokens: t, of: make(map[[sha256.Size]byte]invitee)}
}

// add makes the invitations of everybody in a record known, the revoked ones too: whoever comes with
// one is told so. It may be repeated.
func (i *invitations) add(rec record) {
	i.each(rec, func(hash [sha256.Size]byte, of invitee) { i.of[hash] = of })
}

// forget is the end of a record's invitations.
func (i *invitations) forget(rec record) {
	i.each(rec, func(hash [sha256.Size]byte, _ invitee) { delete(i.of, hash) })
}

func (i *invitations) each(rec record, f func([sha256.Size]byte, invitee)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, p := range rec.People {
		for epoch := range p.Epoch + 1 {
			f(sha256.Sum256([]byte(i.tokens.invitation(rec.ID, p.ID, epoch))), invitee{rec.ID, p.ID, epoch})
		}
	}
}

// find returns whom an invitation is for.
func (i *invitations) find(invitation string) (invitee, bool) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	of, ok := i.of[sha256.Sum256([]byte(invitation))]
	return of, ok
}
