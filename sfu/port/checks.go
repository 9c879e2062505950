package port

import "github.com/pion/stun/v4"

// checks authenticates connectivity checks, for one goroutine at a time.
type checks struct {
	port    *Port
	message stun.Message // the last that was good
}

// authenticate returns whose check b is; nil tells that it is nobody's, which has been counted. As an
// ICE-lite agent we send no requests (RFC 8445 section 2.4), so no response is ever for us.
func (c *checks) authenticate(b []byte) *endpoint {
	stats := &c.port.stats
	messageType, ok := stunType(b)
	if !ok {
		stats.drop(dropSTUNMalformed)
		return nil
	}
	if stunMethod(messageType) != stunMethodBinding {
		stats.drop(dropTURN)
		return nil
	}
	if messageType != stunBindingRequest {
		stats.drop(dropSTUNOther)
		return nil
	}
	c.message.Raw = append(c.message.Raw[:0], b...)
	if c.message.Decode() != nil {
		stats.drop(dropSTUNMalformed)
		return nil
	}
	ufrag, ok := localUfrag(&c.message)
	if !ok {
		stats.drop(dropSTUNMalformed)
		return nil
	}
	e := c.port.endpoint(ufrag)
	if e == nil {
		stats.drop(dropUnknownUfrag)
		return nil
	}
	if stun.MessageIntegrity(e.password).Check(&c.message) != nil {
		stats.drop(dropUnauthenticated)
		return nil
	}
	return e
}

// localUfrag is the part of USERNAME before the colon: the ufrag of the agent that is checked
// (RFC 8445 section 7.2.2).
func localUfrag(m *stun.Message) (string, bool) {
	username, err := m.Get(stun.AttrUsername)
	if err != nil {
		return "", false
	}
	for i, c := range username {
		if c == ':' {
			return string(username[:i]), i > 0
		}
	}
	return "", false
}
