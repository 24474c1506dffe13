package openai

const (
	maxIdentity = 256 // bytes of each text that is kept
	maxReasons  = 16
)

// Identity is what an answer says of itself, besides what it answers. It holds
// copies. The zero value is ready; for a stream, Read takes its events in order.
type Identity struct {
	ID, Model string
	Reasons   []string // why choices are over: finish_reason, or a response's status
}

// Read adds what a whole answer, or the data of an event, says. Of id and model
// the first counts. What is no JSON says as much as stands before the fault.
func (a *Identity) Read(data []byte) {
	c := cursor{b: data}
	c.begin()
	if c.peek() == '{' {
		a.object(&c, true)
	}
}

// object reads an answer, and the response that an event has in it.
func (a *Identity) object(c *cursor, outer bool) {
	for more := c.open(); more; more = c.next() {
		switch name := string(c.name()); {
		case name == "id":
			a.keep(&a.ID, c)
		case name == "model":
			a.keep(&a.Model, c)
		case name == "status":
			a.status(c)
		case name == "choices" && c.peek() == '[':
			a.choices(c)
		case name == "response" && outer && c.peek() == '{':
			a.object(c, false)
		default:
			c.skip()
		}
	}
}

func (a *Identity) keep(to *string, c *cursor) {
	if s := c.short(); *to == "" && len(s) <= maxIdentity {
		*to = string(s)
	}
}

// status is a reason only where the response is over.
func (a *Identity) status(c *cursor) {
	switch s := c.short(); string(s) {
	case "completed", "incomplete", "failed", "cancelled":
		a.reason(s)
	}
}

func (a *Identity) choices(c *cursor) {
	for more := c.open(); more; more = c.next() {
		if c.peek() != '{' {
			c.skip()
			continue
		}
		for more := c.open(); more; more = c.next() {
			if string(c.name()) == "finish_reason" {
				a.reason(c.short())
			} else {
				c.skip()
			}
		}
	}
}

func (a *Identity) reason(s []byte) {
	if len(s) > 0 && len(s) <= maxIdentity && len(a.Reasons) < maxReasons {
		a.Reasons = append(a.Reasons, string(s))
	}
}
