package signaling

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

const whipSecurity = "sessionToken"

// describeWHIP adds the routes of WHIP and WHEP, which huma does not serve, to the description.
func describeWHIP(o *huma.OpenAPI) {
	o.Components.SecuritySchemes[whipSecurity] = &huma.SecurityScheme{
		Type: "http", Scheme: "bearer", Description: "The token of POST /v1/join, which opens one session and then its resource."}
	text := func(typ string) *huma.RequestBody {
		return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{typ: {Schema: &huma.Schema{Type: huma.TypeString}}}}
	}
	answers := func(codes map[string]string) map[string]*huma.Response {
		responses := make(map[string]*huma.Response, len(codes)+1)
		for code, description := range codes {
			responses[code] = &huma.Response{Description: description}
		}
		responses["default"] = &huma.Response{
			Description: "What went wrong, as RFC 9457 says it",
			Content: map[string]*huma.MediaType{
				"application/problem+json": {Schema: huma.SchemaFromType(o.Components.Schemas, problemType())},
			},
		}
		return responses
	}
	security := []map[string][]string{{whipSecurity: {}}}
	id := &huma.Param{Name: "session", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}}
	for _, p := range []struct{ name, path, summary, description string }{
		{"whip", whipPath, "Publish by WHIP (RFC 9725)",
			"At most one audio and one video line, which a device publishes as auscultation and exam. Nobody else may: a person must be told who listens, by the WebSocket."},
		{"whep", whepPath, "Watch by WHEP (draft-ietf-wish-whep)",
			"For a device that is invited to watch. Every line receives, at most nine audio and nine video, and each shows one person at a time."},
	} {
		opened := answers(map[string]string{"201": "The answer; Location is the session's URL, ETag names its ICE session"})
		opened["201"].Content = text(sdpType).Content
		opened["201"].Headers = map[string]*huma.Param{"Link": {
			Description: "A relay, with rel=\"ice-server\", username and credential (RFC 9725 section 4.6); one header for each URL",
			Schema:      &huma.Schema{Type: huma.TypeString},
		}}
		o.AddOperation(&huma.Operation{
			OperationID: p.name, Method: http.MethodPost, Path: p.path, Tags: []string{"sessions"}, Security: security,
			Summary: p.summary, Description: p.description, RequestBody: text(sdpType), Responses: opened,
		})
		o.AddOperation(&huma.Operation{
			OperationID: p.name + "-patch", Method: http.MethodPatch, Path: p.path + "/{session}", Tags: []string{"sessions"}, Security: security,
			Summary: "Restart ICE", Description: "If-Match is * or the ETag. Candidates are taken and not needed.",
			Parameters:  []*huma.Param{id},
			RequestBody: text(fragmentType),
			Responses:   answers(map[string]string{"200": "The server's new credentials", "204": "Candidates are not needed"}),
		})
		o.AddOperation(&huma.Operation{
			OperationID: p.name + "-delete", Method: http.MethodDelete, Path: p.path + "/{session}", Tags: []string{"sessions"}, Security: security,
			Summary: "Leave", Parameters: []*huma.Param{id}, Responses: answers(map[string]string{"200": "The session is over"}),
		})
	}
}
