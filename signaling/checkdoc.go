package signaling

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// describeChecks adds the check of a network, which huma does not serve, to the description.
func describeChecks(o *huma.OpenAPI) {
	content := func(typ string) map[string]*huma.MediaType {
		return map[string]*huma.MediaType{typ: {Schema: &huma.Schema{Type: huma.TypeString}}}
	}
	refused := &huma.Response{
		Description: "What went wrong, as RFC 9457 says it",
		Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: huma.SchemaFromType(o.Components.Schemas, problemType())},
		},
	}
	o.AddOperation(&huma.Operation{
		OperationID: "check", Method: http.MethodPost, Path: "/v1/check", Tags: []string{"sessions"},
		Summary: "Try the way of media before a visit",
		Description: "Answers an offer of an audio line that sends and one that receives, for 12 s at most. Sound comes back, " +
			"numbered anew, and reports tell what was lost on the way. With a video line each way what the path carries is measured, " +
			"too: down by padding, 2 Mbit/s and 3.2 s at most and only while the client tells that it comes; then up by the client's " +
			"pictures, which nobody sees. `Location` is where the figures are. Takes no invitation, and is bounded: see 429 and 503.",
		RequestBody: &huma.RequestBody{Required: true, Content: content(sdpType)},
		Responses: map[string]*huma.Response{"200": {
			Description: "The answer", Content: content(sdpType), Headers: map[string]*huma.Param{"Location": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}, "default": refused},
	})
	o.AddOperation(&huma.Operation{
		OperationID: "check-figures", Method: http.MethodGet, Path: "/v1/check/{id}", Tags: []string{"sessions"},
		Summary: "What a check finds",
		Description: "A line of JSON when the way down has been measured (the client sends its pictures from then on), and more while the " +
			"way up is, the last with `over`: `down` and `up` in bit/s as IP packets, `down_full` and `up_full` where there is no " +
			"more, `loss_down` and `loss_up` (0 to 1) of what the path lost of itself. What is not known is left out. Ends with the check.",
		Parameters: []*huma.Param{{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}}},
		Responses:  map[string]*huma.Response{"200": {Description: "Figures", Content: content("application/x-ndjson")}, "default": refused},
	})
	o.AddOperation(&huma.Operation{
		OperationID: "check-download", Method: http.MethodGet, Path: "/v1/check/download", Tags: []string{"sessions"},
		Summary:     "Measure the way down",
		Description: "At most 2 MB, at 4 Mbit/s, for 4 s. Read as much as is wanted.",
		Responses:   map[string]*huma.Response{"200": {Description: "Noise", Content: content("application/octet-stream")}, "default": refused},
	})
	o.AddOperation(&huma.Operation{
		OperationID: "check-upload", Method: http.MethodPost, Path: "/v1/check/upload", Tags: []string{"sessions"},
		Summary: "Measure the way up",
		Description: "At most 2 MB, taken at 4 Mbit/s, for 4 s, and forgotten. The answer's `Server-Timing: body;dur=` says how many " +
			"milliseconds the body took to come.",
		RequestBody: &huma.RequestBody{Required: true, Content: content("application/octet-stream")},
		Responses:   map[string]*huma.Response{"204": {Description: "Taken"}, "default": refused},
	})
}
