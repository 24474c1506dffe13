package tokens

import "bytes"

// What a chat costs beside its texts is OpenAI's cookbook's, "How to count
// tokens with tiktoken" (examples/How_to_count_tokens_with_tiktoken.ipynb of
// github.com/openai/openai-cookbook). It covers the models up to gpt-4o; later
// ones are taken to be like it.
const (
	perMessage = 3
	perName    = 1
	perReply   = 3 // the answer begins with <|start|>assistant<|message|>
)

// toolRecipe is what the cookbook's num_tokens_for_tools adds to the texts of
// the functions that a model may call.
type toolRecipe struct {
	function   int64 // each
	properties int64 // of a function that has some
	property   int64 // each
	enum       int64 // of a property that has one
	item       int64 // of an enum, each
	allOfThem  int64 // once
}

// toolRecipeOf is the recipe of a family of models, which its encoding tells.
func toolRecipeOf(e Encoding) toolRecipe {
	r := toolRecipe{function: 10, properties: 3, property: 3, enum: -3, item: 3, allOfThem: 12}
	if e == O200K {
		r.function = 7
	}
	return r
}

// toolTally is how far the functions of a Tally have come.
type toolTally struct {
	begun      bool
	properties bool // the function at hand has some
	line       []byte
}

// Message adds what a message costs beside its role and content.
func (t *Tally) Message() { t.overhead += perMessage }

// Name adds a message's name.
func (t *Tally) Name(name []byte) {
	t.overhead += perName
	t.Text(name)
}

// Reply adds what it costs that a chat's answer is begun.
func (t *Tally) Reply() { t.overhead += perReply }

// Function adds a function that the model may call. Its properties come next.
func (t *Tally) Function(name, description []byte) {
	r := toolRecipeOf(t.encoding)
	t.overhead += r.function
	if !t.tools.begun {
		t.overhead += r.allOfThem
	}
	t.tools.begun, t.tools.properties = true, false
	t.line(name, description)
}

// Property adds a property of the function at hand. Its enum comes next.
func (t *Tally) Property(name, kind, description []byte) {
	r := toolRecipeOf(t.encoding)
	t.overhead += r.property
	if !t.tools.properties {
		t.overhead += r.properties
	}
	t.tools.properties = true
	t.line(name, kind, description)
}

// Enum says that the property at hand has one. Its items come next.
func (t *Tally) Enum() { t.overhead += toolRecipeOf(t.encoding).enum }

// EnumItem adds an item of the enum at hand.
func (t *Tally) EnumItem(item []byte) {
	t.overhead += toolRecipeOf(t.encoding).item
	t.Text(item)
}

// line adds texts with colons between them; the last one without its full stop.
func (t *Tally) line(texts ...[]byte) {
	last := len(texts) - 1
	texts[last] = bytes.TrimSuffix(texts[last], []byte("."))
	line := t.tools.line[:0]
	for i, text := range texts {
		if i > 0 {
			line = append(line, ':')
		}
		line = append(line, text...)
	}
	t.tools.line = line
	t.Text(line)
}
