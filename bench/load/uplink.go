package load

import (
	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/signaling/wire"
)

// adapt lets a connected client send what its uplink carries.
func (p *person) adapt(c *bench.Client) error {
	if p.group.Camera == nil || len(p.group.Camera.Layers) < 2 || !p.impaired() {
		return nil
	}
	p.mu.Lock()
	up := p.up
	p.mu.Unlock()
	n := p.group.LayersThrough(up)
	for i, l := range p.group.Camera.Layers {
		if err := c.StopLayer(wire.SourceCamera, l.RID, i >= n); err != nil {
			return err
		}
	}
	return nil
}
