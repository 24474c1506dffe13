package demo

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"math"
	"strings"

	"github.com/valyala/fasthttp"
)

const (
	usualDimensions = 16
	maxDimensions   = 4096
)

type embedding struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"` // []float32, or the same in base64
}

// embeddings answers /v1/embeddings: equal texts get equal vectors, and texts
// that share words get similar ones.
func (s *Server) embeddings(ctx *fasthttp.RequestCtx, q *request) {
	dimensions := q.Dimensions
	if dimensions == 0 {
		dimensions = usualDimensions
	}
	inputs := texts(q.Input)
	data := make([]embedding, len(inputs))
	for i, text := range inputs {
		vector := embed(text, dimensions)
		data[i] = embedding{Object: "embedding", Index: i, Embedding: vector}
		if q.EncodingFormat == "base64" {
			data[i].Embedding = pack(vector)
		}
	}
	prompt := q.prompt()
	type tokens struct {
		Prompt int `json:"prompt_tokens"`
		Total  int `json:"total_tokens"`
	}
	send(ctx, struct {
		Object string      `json:"object"`
		Model  string      `json:"model"`
		Data   []embedding `json:"data"`
		Usage  tokens      `json:"usage"`
	}{"list", q.Model, data, tokens{prompt, prompt}})
}

// embed adds up one direction for each word and scales the sum to length 1.
// A text without words gets the first axis.
func embed(text string, dimensions int) []float32 {
	vector := make([]float32, dimensions)
	for word := range strings.FieldsSeq(strings.ToLower(text)) {
		h := fnv.New64a()
		_, _ = h.Write([]byte(word)) // a hash takes everything
		state := h.Sum64()
		for i := range vector {
			state = state*6364136223846793005 + 1442695040888963407
			vector[i] += float32(int32(state>>32)) / (1 << 31)
		}
	}
	var square float64
	for _, x := range vector {
		square += float64(x) * float64(x)
	}
	if square == 0 {
		vector[0] = 1
		return vector
	}
	for i := range vector {
		vector[i] /= float32(math.Sqrt(square))
	}
	return vector
}

// pack is OpenAI's base64 of little-endian float32.
func pack(vector []float32) string {
	raw := make([]byte, 0, 4*len(vector))
	for _, x := range vector {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(raw)
}
