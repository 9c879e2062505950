package signaling_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// description is openapi.yaml as far as tests are derived from it. A word of it that schema does not
// know is an error, so that nothing it promises goes unchecked.
type description struct {
	Paths      map[string]map[string]operation
	Components struct {
		Schemas map[string]*schema
		Rest    map[string]any `yaml:",inline"`
	}
	Rest map[string]any `yaml:",inline"`
}

type operation struct {
	ID         string `yaml:"operationId"`
	Parameters []struct {
		In, Name string
		Required bool
		Schema   *schema
		Rest     map[string]any `yaml:",inline"`
	}
	RequestBody struct {
		Required bool
		Content  map[string]content
	} `yaml:"requestBody"`
	Responses map[string]struct {
		Content map[string]content
		Rest    map[string]any `yaml:",inline"`
	}
	Security []map[string][]string
	Rest     map[string]any `yaml:",inline"`
}

type content struct{ Schema *schema }

// schema is the part of JSON Schema that the server's description uses.
type schema struct {
	Ref                  string `yaml:"$ref"`
	Type                 string
	Format               string
	Enum                 []string
	Pattern              string
	Properties           map[string]*schema
	Required             []string
	AdditionalProperties *bool `yaml:"additionalProperties"`
	Items                *schema
	MinItems             int      `yaml:"minItems"`
	MaxItems             int      `yaml:"maxItems"`
	MinLength            int      `yaml:"minLength"`
	MaxLength            int      `yaml:"maxLength"`
	Minimum              *float64 `yaml:"minimum"`
	Maximum              *float64 `yaml:"maximum"`
	Default              any
	Description          string
	Examples             []any
}

// describe reads what the server says of itself.
func (w *world) describe() *description {
	w.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(w.get("/openapi.yaml")))
	decoder.KnownFields(true)
	d := new(description)
	if err := decoder.Decode(d); err != nil {
		w.Fatal(err)
	}
	return d
}

// route is one operation and where it is.
type route struct {
	method, path string
	operation
}

// keyed reports whether an operation needs an API key.
func (o operation) keyed() bool {
	return slices.ContainsFunc(o.Security, func(one map[string][]string) bool { _, ok := one["apiKey"]; return ok })
}

// routes returns every operation, those that only read first and those that delete last, the
// deepest of them first.
func (d *description) routes() []route {
	var list []route
	for path, methods := range d.Paths {
		for method, o := range methods {
			list = append(list, route{strings.ToUpper(method), path, o})
		}
	}
	order := []string{"GET", "POST", "PUT", "PATCH", "DELETE"}
	slices.SortFunc(list, func(a, b route) int {
		if a.method != b.method {
			return slices.Index(order, a.method) - slices.Index(order, b.method)
		}
		if a.method == "DELETE" {
			a, b = b, a
		}
		return strings.Compare(a.path, b.path)
	})
	return list
}

// fill returns the route's path and query with the values given for its parameters.
func (r route) fill(values map[string]string) (string, error) {
	path, query := r.path, url.Values{}
	for _, p := range r.Parameters {
		value, known := values[p.Name]
		switch {
		case !known && p.Required:
			return "", fmt.Errorf("%s: no value for the parameter %s", r.ID, p.Name)
		case !known:
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(value))
		case p.In == "query":
			query.Set(p.Name, value)
		default:
			return "", fmt.Errorf("%s: a parameter in %s", r.ID, p.In)
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path, nil
}

// answer is what came back for a request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) code() string {
	var p struct{ Code string }
	_ = json.Unmarshal(a.body, &p)
	return p.Code
}

// ask sends a request with exactly these headers, and JSON as the body's type unless they say another.
func (w *world) ask(method, path string, header http.Header, body string) answer {
	w.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, publicURL+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	if req.Header = header.Clone(); req.Header == nil {
		req.Header = http.Header{}
	}
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, data}
}

func bearer(key string) http.Header {
	return http.Header{"Authorization": {"Bearer " + key}}
}

// check compares an answer with what the description promises of the operation.
func (d *description) check(o operation, a answer) error {
	promised, ok := o.Responses[fmt.Sprint(a.status)]
	if !ok {
		if a.status < 400 {
			return fmt.Errorf("status %d is not described", a.status)
		}
		promised = o.Responses["default"]
	}
	if len(promised.Content) == 0 {
		// huma does not describe the body of the second good status (200 of a repeated creation): it
		// is that of the first.
		if promised = o.Responses["201"]; a.status != http.StatusOK || len(promised.Content) == 0 {
			if len(a.body) > 0 {
				return fmt.Errorf("status %d has a body, and none is described", a.status)
			}
			return nil
		}
	}
	typ := a.header.Get("Content-Type")
	c, ok := promised.Content[typ]
	if !ok {
		return fmt.Errorf("status %d has the type %q, which is not described", a.status, typ)
	}
	decoder := json.NewDecoder(bytes.NewReader(a.body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return fmt.Errorf("status %d: not JSON: %w", a.status, err)
	}
	return d.valid("$", c.Schema, value)
}

// valid reports where a value breaks its schema.
func (d *description) valid(at string, s *schema, value any) error {
	if s.Ref != "" {
		name := strings.TrimPrefix(s.Ref, "#/components/schemas/")
		if d.Components.Schemas[name] == nil {
			return fmt.Errorf("%s: no schema %s", at, s.Ref)
		}
		return d.valid(at, d.Components.Schemas[name], value)
	}
	switch value := value.(type) {
	case map[string]any:
		return d.validObject(at, s, value)
	case []any:
		if s.Type != "array" || len(value) < s.MinItems || s.MaxItems > 0 && len(value) > s.MaxItems {
			return fmt.Errorf("%s: a list of %d is not what %+v describes", at, len(value), s)
		}
		for i, item := range value {
			if err := d.valid(fmt.Sprintf("%s[%d]", at, i), s.Items, item); err != nil {
				return err
			}
		}
		return nil
	case string:
		return validString(at, s, value)
	case json.Number:
		f, err := value.Float64()
		whole := !strings.ContainsAny(value.String(), ".eE")
		if err != nil || s.Type != "number" && (s.Type != "integer" || !whole) ||
			s.Minimum != nil && f < *s.Minimum || s.Maximum != nil && f > *s.Maximum {
			return fmt.Errorf("%s: %s is not what %+v describes", at, value, s)
		}
		return nil
	case bool:
		if s.Type == "boolean" {
			return nil
		}
	}
	return fmt.Errorf("%s: %v is not a %s", at, value, s.Type)
}

func (d *description) validObject(at string, s *schema, value map[string]any) error {
	if s.Type != "object" {
		return fmt.Errorf("%s: an object is not a %s", at, s.Type)
	}
	for _, name := range s.Required {
		if _, ok := value[name]; !ok {
			return fmt.Errorf("%s: %s is missing", at, name)
		}
	}
	for name, field := range value {
		of, ok := s.Properties[name]
		switch {
		case ok:
			if err := d.valid(at+"."+name, of, field); err != nil {
				return err
			}
		case s.AdditionalProperties != nil && !*s.AdditionalProperties:
			return fmt.Errorf("%s: %s is not described", at, name)
		}
	}
	return nil
}

func validString(at string, s *schema, value string) error {
	length := utf8.RuneCountInString(value)
	ok := s.Type == "string" && length >= s.MinLength && (s.MaxLength == 0 || length <= s.MaxLength) &&
		(len(s.Enum) == 0 || slices.Contains(s.Enum, value))
	if ok && s.Format == "date-time" {
		_, err := time.Parse(time.RFC3339Nano, value)
		ok = err == nil
	}
	if ok && s.Pattern != "" {
		ok = regexp.MustCompile(s.Pattern).MatchString(value)
	}
	if !ok {
		return fmt.Errorf("%s: %.80q is not what %+v describes", at, value, s)
	}
	return nil
}
