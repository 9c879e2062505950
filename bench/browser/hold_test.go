package browser_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestHold puts the patient on hold and brings them back, by the page and the real server: no
// picture is left meanwhile, a message gets through, and it goes on by itself.
func TestHold(t *testing.T) {
	names := map[string]string{clinician: "Dr Lee", patient: "Sam Novak"}
	c := newConsultation(t, "VP8", func(role string) string { return names[role] }, true)
	doctor, sam := c.arrive(clinician), c.arrive(patient)
	c.admit(doctor, sam)
	sam.until("the clinician's picture", `bedsideTest.all('.tile[data-shown="true"]').length === 1`)
	row := func(action string) string {
		return fmt.Sprintf(`[data-roster=%q] [data-action=%q]`, c.invited(sam.name).ID, action)
	}
	doctor.click(row("hold"))
	sam.until("hold", `bedsideTest.state() === "held" && !bedsideTest.one("video")`)
	doctor.until("name of who is on hold", `bedsideTest.one('.also')?.textContent.includes("Sam Novak")`)
	doctor.click(row("message"))
	doctor.click("#bedside-message")
	doctor.do(chromedp.KeyEvent("One minute, please"))
	doctor.press("send-message")
	sam.until("message", `bedsideTest.all('.message').some((e) => e.textContent.includes("One minute, please"))`)
	doctor.click(row("unhold"))
	sam.until("room", `bedsideTest.state() === "room"`)
	for _, p := range c.present {
		p.until("picture", `bedsideTest.all('.tile[data-shown="true"]').length === 1`)
	}
	doctor.press("leave")
	doctor.press("confirm-leave")
	doctor.until("end of the clinician's", `bedsideTest.state() === "ended"`)
	sam.until("an empty room", `!bedsideTest.one('.tile')`)
}
