package bidi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrException tells that a script threw, or that a promise was rejected.
var ErrException = errors.New("exception")

// Tab is one page of a browser.
type Tab struct {
	conn *conn
	// ID is what entries of the console name the tab by.
	ID string
}

// Open opens an empty page of the given size in which preload, the body of a function, runs before
// the scripts of every document.
func (b *Browser) Open(ctx context.Context, width, height int, preload string) (*Tab, error) {
	var made struct {
		Context string `json:"context"`
	}
	if err := b.conn.call(ctx, "browsingContext.create", map[string]any{"type": "tab"}, &made); err != nil {
		return nil, err
	}
	t := &Tab{conn: b.conn, ID: made.Context}
	viewport := map[string]any{"context": t.ID, "viewport": map[string]int{"width": width, "height": height}}
	if err := b.conn.call(ctx, "browsingContext.setViewport", viewport, nil); err != nil {
		return nil, err
	}
	script := map[string]any{"functionDeclaration": "() => {" + preload + "\n}", "contexts": []string{t.ID}}
	return t, b.conn.call(ctx, "script.addPreloadScript", script, nil)
}

// Navigate goes to url and waits until the page has loaded.
func (t *Tab) Navigate(ctx context.Context, url string) error {
	return t.conn.call(ctx, "browsingContext.navigate", map[string]any{"context": t.ID, "url": url, "wait": "complete"}, nil)
}

// Frames returns the pages in the page's frames. The preload script runs in them, too.
func (t *Tab) Frames(ctx context.Context) ([]*Tab, error) {
	var tree struct {
		Contexts []struct {
			Children []struct {
				Context string `json:"context"`
			} `json:"children"`
		} `json:"contexts"`
	}
	if err := t.conn.call(ctx, "browsingContext.getTree", map[string]any{"root": t.ID, "maxDepth": 1}, &tree); err != nil {
		return nil, err
	}
	var frames []*Tab
	for _, c := range tree.Contexts {
		for _, child := range c.Children {
			frames = append(frames, &Tab{conn: t.conn, ID: child.Context})
		}
	}
	return frames, nil
}

// Evaluate returns the value of an expression, awaited when it is a promise, as JSON: nil for undefined.
//
// What is thrown is caught in the page: Firefox 153 answers "Missing stack, unable to build
// exceptionDetails" instead of an exception whose stack it has lost.
func (t *Tab) Evaluate(ctx context.Context, js string) ([]byte, error) {
	params := map[string]any{
		"expression": "(async () => { try { return JSON.stringify({ value: await (" + js + "\n) }) } " +
			"catch (e) { return JSON.stringify({ thrown: String(e) }) } })()",
		"target":       map[string]string{"context": t.ID},
		"awaitPromise": true,
	}
	var got struct {
		Result struct {
			Value any `json:"value"`
		} `json:"result"`
		ExceptionDetails struct {
			Text string `json:"text"`
		} `json:"exceptionDetails"`
	}
	if err := t.conn.call(ctx, "script.evaluate", params, &got); err != nil {
		return nil, err
	}
	text, ok := got.Result.Value.(string)
	if !ok { // a syntax error
		return nil, fmt.Errorf("bidi: evaluate: %w: %s", ErrException, got.ExceptionDetails.Text)
	}
	var outcome struct {
		Value  json.RawMessage `json:"value"`
		Thrown *string         `json:"thrown"`
	}
	if err := json.Unmarshal([]byte(text), &outcome); err != nil {
		return nil, fmt.Errorf("bidi: evaluate: %w", err)
	}
	if outcome.Thrown != nil {
		return nil, fmt.Errorf("bidi: evaluate: %w: %s", ErrException, *outcome.Thrown)
	}
	return outcome.Value, nil
}

// Click moves the mouse to a point of the page, in CSS pixels, and clicks.
func (t *Tab) Click(ctx context.Context, x, y float64) error {
	type action map[string]any
	mouse := action{
		"type": "pointer", "id": "mouse", "parameters": action{"pointerType": "mouse"},
		"actions": []action{
			{"type": "pointerMove", "x": int(x), "y": int(y)},
			{"type": "pointerDown", "button": 0},
			{"type": "pointerUp", "button": 0},
		},
	}
	return t.conn.call(ctx, "input.performActions", action{"context": t.ID, "actions": []action{mouse}}, nil)
}

// Screenshot returns a picture of the page as a PNG.
func (t *Tab) Screenshot(ctx context.Context) ([]byte, error) {
	var got struct {
		Data string `json:"data"`
	}
	if err := t.conn.call(ctx, "browsingContext.captureScreenshot", map[string]any{"context": t.ID}, &got); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(got.Data)
}

// Close closes the page, as a person does who has had enough of it.
func (t *Tab) Close(ctx context.Context) error {
	return t.conn.call(ctx, "browsingContext.close", map[string]any{"context": t.ID}, nil)
}
