package client_test

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/bedside-video/bedside/signaling/client"
)

// schema is what is compared of an OpenAPI schema.
type schema struct {
	Ref        string            `yaml:"$ref"`
	Type       string            `yaml:"type"`
	Format     string            `yaml:"format"`
	Properties map[string]schema `yaml:"properties"`
	Items      *schema           `yaml:"items"`
	Required   []string          `yaml:"required"`
}

// TestTypes compares the types with the API's description: every property has a field of its type,
// every field a property, and what is required is always sent.
func TestTypes(t *testing.T) {
	text, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var description struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]struct {
					Schema schema `yaml:"schema"`
				} `yaml:"content"`
			} `yaml:"responses"`
		} `yaml:"paths"`
		Components struct {
			Schemas map[string]schema `yaml:"schemas"`
		} `yaml:"components"`
	}
	if err := yaml.Unmarshal(text, &description); err != nil {
		t.Fatal(err)
	}
	schemas := description.Components.Schemas
	schemas["Problem"] = description.Paths["/v1/consultations"]["post"].Responses["default"].Content["application/problem+json"].Schema
	for name, of := range map[string]reflect.Type{
		"NewConsultation": reflect.TypeFor[client.NewConsultation](), "NewParticipant": reflect.TypeFor[client.NewParticipant](),
		"ConsultationChange": reflect.TypeFor[client.Change](), "Consultation": reflect.TypeFor[client.Consultation](),
		"Participant": reflect.TypeFor[client.Participant](), "Window": reflect.TypeFor[client.Window](),
		"Problem": reflect.TypeFor[client.Problem](), "ProblemField": reflect.TypeFor[client.ProblemField](),
		"QualityReport": reflect.TypeFor[client.Report](), "LostPackets": reflect.TypeFor[client.LostPackets](),
		"QualityFinding": reflect.TypeFor[client.Finding](), "ParticipantReport": reflect.TypeFor[client.ParticipantReport](),
		"QualityBucket": reflect.TypeFor[client.Bucket](), "LinkReport": reflect.TypeFor[client.LinkReport](),
		"Record": reflect.TypeFor[client.AuditRecord](), "Actor": reflect.TypeFor[client.AuditActor](), "Subject": reflect.TypeFor[client.AuditSubject](),
	} {
		s, ok := schemas[name]
		if !ok || len(s.Properties) == 0 {
			t.Errorf("openapi.yaml has no %s", name)
			continue
		}
		for i := range of.NumField() {
			f := of.Field(i)
			property, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			p, ok := s.Properties[property]
			if !ok {
				t.Errorf("%s.%s: %s has no property %q", of.Name(), f.Name, name, property)
				continue
			}
			delete(s.Properties, property)
			if got, want := kind(f.Type), p.kind(); got != want {
				t.Errorf("%s.%s is %s, the property %s of %s", of.Name(), f.Name, got, property, want)
			}
			if required := slices.Contains(s.Required, property); required && options != "" {
				t.Errorf("%s.%s: %s requires %s, which may be left out", of.Name(), f.Name, name, property)
			} else if !required && options == "" {
				t.Errorf("%s.%s: %s need not have %s, which is always sent", of.Name(), f.Name, name, property)
			}
		}
		for property := range s.Properties {
			t.Errorf("%s has no field for the property %s of %s", of.Name(), property, name)
		}
	}
}

func (s schema) kind() string {
	switch {
	case s.Ref != "":
		return "object"
	case s.Items != nil:
		return "array of " + s.Items.kind()
	case s.Format == "date-time":
		return "time"
	}
	return s.Type
}

func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return kind(t.Elem())
	case reflect.Slice:
		return "array of " + kind(t.Elem())
	case reflect.Struct:
		if t.Name() == "Time" {
			return "time"
		}
		return "object"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "integer"
	case reflect.Float64:
		return "number"
	}
	return t.Kind().String()
}
