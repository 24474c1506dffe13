package openai

var (
	pieceTrue    = []byte(`true`)
	pieceComma   = []byte(`,`)
	pieceUsage   = []byte(`"include_usage":true`)
	pieceOptions = []byte(`{"include_usage":true}`)
	pieceMember  = []byte(`"stream_options":{"include_usage":true}`)
)

// edit replaces the bytes of a span by up to two pieces.
type edit struct {
	at     Span
	pieces [2][]byte
}

// Splice appends the segments of the body that goes to the provider: the
// parsed body with another model and, if askUsage, with
// stream_options.include_usage set. model is a JSON string with its quotes;
// nil, or a body without model, leaves the model alone. Every other byte stays
// as the client wrote it.
//
// The segments are views of body and model and of constants: they are to be
// read only. Nothing is allocated if dst has room for 6 of them.
func (q *Request) Splice(dst [][]byte, body, model []byte, askUsage bool) [][]byte {
	first, second := q.modelEdit(model), edit{}
	if askUsage && !q.IncludeUsage {
		second = q.usageEdit()
	}
	if second.at.Start < first.at.Start {
		first, second = second, first
	}
	dst, from := first.apply(dst, body, 0)
	dst, from = second.apply(dst, body, from)
	return append(dst, body[from:])
}

func (q *Request) modelEdit(model []byte) edit {
	if model == nil || !q.ModelAt.Present() {
		return edit{}
	}
	return edit{q.ModelAt, [2][]byte{model}}
}

// usageEdit asks for usage with the smallest change that does it.
func (q *Request) usageEdit() edit {
	switch {
	case q.includeUsageAt.Present(): // false or null
		return edit{q.includeUsageAt, [2][]byte{pieceTrue}}
	case q.optionsAt > 0:
		return insertion(q.optionsAt, pieceUsage, q.bareOptions)
	case q.StreamOptionsAt.Present(): // null
		return edit{q.StreamOptionsAt, [2][]byte{pieceOptions}}
	}
	return insertion(q.membersAt, pieceMember, q.bare)
}

// insertion puts a member in front of the others of an object.
func insertion(at int, member []byte, alone bool) edit {
	e := edit{Span{at, at}, [2][]byte{member}}
	if !alone {
		e.pieces[1] = pieceComma
	}
	return e
}

// apply appends what stands between from and the edit, and what the edit puts
// in. The zero edit changes nothing. It returns where the body goes on.
func (e *edit) apply(dst [][]byte, body []byte, from int) ([][]byte, int) {
	if e.at.End == 0 {
		return dst, from
	}
	dst = append(dst, body[from:e.at.Start])
	for _, piece := range e.pieces {
		if piece != nil {
			dst = append(dst, piece)
		}
	}
	return dst, e.at.End
}
