package signaling

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// describeRecordings adds the routes of recordings, which huma does not serve because of ranges, to the
// description.
func describeRecordings(o *huma.OpenAPI) {
	schema := func(t reflect.Type) map[string]*huma.MediaType {
		return map[string]*huma.MediaType{"application/json": {Schema: huma.SchemaFromType(o.Components.Schemas, t)}}
	}
	binary := map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString}}}
	refused := &huma.Response{
		Description: "What went wrong, as RFC 9457 says it",
		Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: huma.SchemaFromType(o.Components.Schemas, problemType())},
		},
	}
	id := &huma.Param{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}}
	n := &huma.Param{Name: "n", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeInteger}}
	k := &huma.Param{Name: "k", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeInteger}}
	consultation := &huma.Param{Name: "consultation", In: "query", Schema: &huma.Schema{Type: huma.TypeString}}
	const path = "/v1/recordings"
	for _, r := range []struct {
		name, method, path, summary string
		params                      []*huma.Param
		body                        map[string]*huma.MediaType
		status, answer              string
		content                     map[string]*huma.MediaType
	}{
		{"list-recordings", http.MethodGet, path, "List the recordings of the key's tenant", []*huma.Param{consultation}, nil, "200", "The recordings", schema(reflect.TypeFor[RecordingList]())},
		{"read-recording", http.MethodGet, path + "/{id}", "Read what is known of a recording", []*huma.Param{id}, nil, "200", "The recording", schema(reflect.TypeFor[Recording]())},
		{"erase-recording", http.MethodDelete, path + "/{id}", "Erase a recording: its key is destroyed, a tombstone stays", []*huma.Param{id}, nil, "204", "It is erased", nil},
		{"read-recording-manifest", http.MethodGet, path + "/{id}/manifest", "Read the manifest, signed by the server", []*huma.Param{id}, nil, "200", "The manifest", map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Type: huma.TypeObject}}}},
		{"read-recording-key", http.MethodGet, path + "/{id}/key", "Read the key, sealed to the hospital's recipients", []*huma.Param{id}, nil, "200", "An age file", binary},
		{"replace-recording-key", http.MethodPut, path + "/{id}/key", "Replace the key by the same, sealed to others; the former one is kept", []*huma.Param{id}, binary, "204", "It is replaced", nil},
		{"read-former-recording-key", http.MethodGet, path + "/{id}/keys/{k}", "Read a key that was replaced: the first is number 1", []*huma.Param{id, k}, nil, "200", "An age file", binary},
		{"forget-recording-keys", http.MethodDelete, path + "/{id}/keys", "Destroy the keys that were replaced: whom only they let in cannot open the recording any more", []*huma.Param{id}, nil, "204", "They are destroyed", nil},
		{"read-recording-part", http.MethodGet, path + "/{id}/parts/{n}", "Read a part, sealed; ranges are served", []*huma.Param{id, n}, nil, "200", "An age file", binary},
	} {
		operation := &huma.Operation{
			OperationID: r.name, Method: r.method, Path: r.path, Tags: []string{"recordings"}, Summary: r.summary,
			Description: "With a key of the scope recordings or, to read, the resume token of a clinician who is in the consultation. Every answer is in the audit log before its first byte. Only on servers that record.",
			Security:    []map[string][]string{{securityName: {}}}, Parameters: r.params,
			Responses: map[string]*huma.Response{r.status: {Description: r.answer, Content: r.content}, "default": refused},
		}
		if r.body != nil {
			operation.RequestBody = &huma.RequestBody{Required: true, Content: r.body}
		}
		o.AddOperation(operation)
	}
}
