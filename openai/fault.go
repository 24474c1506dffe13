package openai

// fault says why a text is no JSON, or none that is taken here.
type fault uint8

const (
	sound fault = iota
	faultEmpty
	faultMark
	faultEnd
	faultValue
	faultName
	faultColon
	faultComma
	faultControl
	faultEscape
	faultNumber
	faultDepth
	faultTrailing
)

var faultTexts = [...]string{
	sound:         "sound",
	faultEmpty:    "it is empty",
	faultMark:     "it starts with a byte order mark",
	faultEnd:      "it ends too early",
	faultValue:    "a value was expected",
	faultName:     "a member name in double quotes was expected",
	faultColon:    "a colon was expected",
	faultComma:    "a comma or the closing bracket was expected",
	faultControl:  "a string holds a control character that is not escaped",
	faultEscape:   "a string holds an invalid escape",
	faultNumber:   "a number is malformed",
	faultDepth:    "it is nested deeper than 512 levels",
	faultTrailing: "something follows the JSON value",
}

func (f fault) String() string { return faultTexts[f] }
