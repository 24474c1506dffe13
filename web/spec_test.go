package web

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"
)

func load(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(OpenAPIJSON())
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func countOperations(t *testing.T) (n int) {
	for _, item := range load(t).Paths.Map() {
		n += len(item.Operations())
	}
	return n
}

// The description is valid OpenAPI 3.1, its examples fit its schemas, and
// every operation can be found and read.
func TestOpenAPIIsValid(t *testing.T) {
	doc := load(t)
	if !doc.IsOpenAPI31OrLater() {
		t.Errorf("version %s", doc.OpenAPI)
	}
	if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Error(err)
	}
	ids := map[string]string{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			where := method + " " + path
			if op.OperationID == "" || op.Summary == "" || len(op.Tags) != 1 || op.Security == nil {
				t.Errorf("%s: operationId %q, summary %q, tags %v, security %v", where, op.OperationID, op.Summary, op.Tags, op.Security)
			}
			if doc.Tags.Get(op.Tags[0]) == nil {
				t.Errorf("%s: tag %q is not described", where, op.Tags[0])
			}
			if other, taken := ids[op.OperationID]; taken {
				t.Errorf("%s and %s are both %q", where, other, op.OperationID)
			}
			ids[op.OperationID] = where
		}
	}
}

// The JSON says what the YAML says.
func TestOpenAPIJSONEqualsYAML(t *testing.T) {
	var fromYAML, fromJSON any
	if err := yaml.Unmarshal(openAPIYAML, &fromYAML); err != nil {
		t.Fatal(err)
	}
	normal, err := json.Marshal(fromYAML)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(normal, &fromYAML); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(OpenAPIJSON(), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(fromYAML, fromJSON) {
		t.Error("they differ")
	}
}

func TestYAMLToJSON(t *testing.T) {
	in, err := os.ReadFile("testdata/sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/sample.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := yamlToJSON(in)
	if err != nil {
		t.Fatal(err)
	}
	if string(got)+"\n" != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestYAMLToJSONRefuses(t *testing.T) {
	f := func(in string) {
		t.Helper()
		if out, err := yamlToJSON([]byte(in)); err == nil {
			t.Errorf("%q became %s", in, out)
		}
	}

	f("")
	f("a: [")
	f("[a]: 1")
	f("base: &b {a: 1}\nmore:\n  <<: *b")
	f("a: !!binary aGk=")
	f("a: .nan")
}
