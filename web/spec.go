package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"

	"go.yaml.in/yaml/v3"
)

// OpenAPIJSON returns the gateway's OpenAPI 3.1 description. The bytes are
// shared: nobody may change them.
func OpenAPIJSON() []byte { return openAPIJSONAsset().plain }

// OpenAPIYAML returns the same description as it was written. The bytes are
// shared: nobody may change them.
func OpenAPIYAML() []byte { return openAPIYAML }

var openAPIJSONAsset = sync.OnceValue(func() *asset {
	converted, err := yamlToJSON(openAPIYAML)
	if err != nil {
		panic("BUG: openapi.yaml: " + err.Error())
	}
	a := newAsset("openapi.json", cacheAsk, converted)
	a.contentType = "application/json"
	return a
})

var openAPIYAMLAsset = sync.OnceValue(func() *asset {
	a := newAsset("openapi.yaml", cacheAsk, openAPIYAML)
	a.contentType = "application/yaml"
	return a
})

// yamlToJSON converts one YAML document. Keys keep the order in which a person
// wrote them, which is also the order in which the page shows them.
func yamlToJSON(doc []byte) ([]byte, error) {
	var node yaml.Node
	if err := yaml.Unmarshal(doc, &node); err != nil {
		return nil, err
	}
	if node.Kind != yaml.DocumentNode {
		return nil, fmt.Errorf("no document")
	}
	var out bytes.Buffer
	if err := writeNode(&out, node.Content[0]); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func writeNode(out *bytes.Buffer, n *yaml.Node) error {
	switch n.Kind {
	case yaml.AliasNode:
		return writeNode(out, n.Alias)
	case yaml.MappingNode:
		return writeMapping(out, n)
	case yaml.SequenceNode:
		return writeSequence(out, n)
	case yaml.ScalarNode:
		return writeScalar(out, n)
	}
	return fmt.Errorf("line %d: unexpected kind of node", n.Line)
}

func writeMapping(out *bytes.Buffer, n *yaml.Node) error {
	out.WriteByte('{')
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			return fmt.Errorf("line %d: a key that JSON cannot have", key.Line)
		}
		if i > 0 {
			out.WriteByte(',')
		}
		writeString(out, key.Value)
		out.WriteByte(':')
		if err := writeNode(out, n.Content[i+1]); err != nil {
			return err
		}
	}
	out.WriteByte('}')
	return nil
}

func writeSequence(out *bytes.Buffer, n *yaml.Node) error {
	out.WriteByte('[')
	for i, item := range n.Content {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := writeNode(out, item); err != nil {
			return err
		}
	}
	out.WriteByte(']')
	return nil
}

func writeScalar(out *bytes.Buffer, n *yaml.Node) error {
	switch n.Tag {
	case "!!str", "!!timestamp":
		writeString(out, n.Value)
		return nil
	case "!!null":
		out.WriteString("null")
		return nil
	case "!!bool":
		var value bool
		if err := n.Decode(&value); err != nil {
			return err
		}
		out.WriteString(strconv.FormatBool(value))
		return nil
	case "!!int", "!!float":
		var value any
		if err := n.Decode(&value); err != nil {
			return err
		}
		number, err := json.Marshal(value)
		out.Write(number)
		return err
	}
	return fmt.Errorf("line %d: JSON has no %s", n.Line, n.Tag)
}

func writeString(out *bytes.Buffer, s string) {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic("BUG: " + err.Error()) // a string always encodes
	}
	out.Truncate(out.Len() - 1) // the encoder ends each value with a newline
}
