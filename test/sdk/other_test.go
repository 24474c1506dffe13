package sdk

import (
	"bytes"
	"io"
	"math"
	"slices"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"llmproxy/internal/fakeprovider"
)

func TestModels(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		client := x.client(t)
		page, err := client.Models.List(bounded(t))
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, m := range page.Data {
			ids = append(ids, m.ID)
		}
		if !slices.Equal(ids, []string{x.model}) {
			t.Errorf("models: %q", ids)
		}
		one, err := client.Models.Get(bounded(t), x.model)
		if err != nil || one.ID != x.model || string(one.Object) != "model" {
			t.Errorf("got %+v, %v", one, err)
		}
		if _, err := client.Models.Get(bounded(t), "nobody"); err == nil {
			t.Error("a model that nobody serves is shown")
		}
	})
}

func TestLegacyCompletions(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		x.answering(fakeprovider.Reply{})
		params := openai.CompletionNewParams{
			Model:  openai.CompletionNewParamsModel(x.model),
			Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String(secretPrompt)},
		}
		var body []byte
		got, err := x.client(t).Completions.New(bounded(t), params, sent(&body))
		if err != nil || got.Choices[0].Text != secretAnswer || got.Usage.CompletionTokens != 7 {
			t.Fatalf("got %+v, %v", got, err)
		}
		x.sameBytes(t, body)

		stream := x.client(t).Completions.NewStreaming(bounded(t), params, sent(&body))
		defer stream.Close()
		text := ""
		for stream.Next() {
			text += stream.Current().Choices[0].Text
		}
		if stream.Err() != nil || text != secretAnswer {
			t.Errorf("streamed: got %q, %v", text, stream.Err())
		}
		x.sameBytesBesideUsage(t, body)
	})
}

func TestEmbeddings(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		var body []byte
		got, err := x.client(t).Embeddings.New(bounded(t), openai.EmbeddingNewParams{
			Model: x.model,
			Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"a", "b"}},
		}, sent(&body))
		if err != nil || len(got.Data) != 2 || math.Abs(got.Data[1].Embedding[0]-1) > 1e-6 || got.Usage.PromptTokens != 11 {
			t.Fatalf("got %+v, %v", got, err)
		}
		x.sameBytes(t, body)
	})
}

func TestResponses(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		x.answering(fakeprovider.Reply{})
		params := responses.ResponseNewParams{
			Model: x.model,
			Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(secretPrompt)},
		}
		var body []byte
		got, err := x.client(t).Responses.New(bounded(t), params, sent(&body))
		if err != nil || got.OutputText() != secretAnswer || got.Usage.OutputTokens != 7 {
			t.Fatalf("got %+v, %v", got, err)
		}
		x.sameBytes(t, body)

		stream := x.client(t).Responses.NewStreaming(bounded(t), params, sent(&body))
		defer stream.Close()
		text, last := "", ""
		for stream.Next() {
			event := stream.Current()
			last = event.Type
			if event.Type == "response.output_text.delta" {
				text += event.Delta
			}
		}
		if stream.Err() != nil || text != secretAnswer || last != "response.completed" {
			t.Errorf("streamed: got %q, %q at the end, %v", text, last, stream.Err())
		}
		x.sameBytes(t, body)
	})
}

func TestSpeechIsBytes(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		resp, err := x.client(t).Audio.Speech.New(bounded(t), openai.AudioSpeechNewParams{
			Model: x.model, Input: "hello", Voice: openai.AudioSpeechNewParamsVoiceUnion{OfString: openai.String("alloy")},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		sound, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Equal(sound, []byte("ID3\x00\x01\xff\xfb\x90\x00")) || resp.Header.Get("Content-Type") != "audio/mpeg" {
			t.Errorf("got %q as %q, %v", sound, resp.Header.Get("Content-Type"), err)
		}
	})
}

func TestModerationsAndImages(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		client := x.client(t)
		checked, err := client.Moderations.New(bounded(t), openai.ModerationNewParams{
			Model: openai.ModerationModel(x.model), Input: openai.ModerationNewParamsInputUnion{OfString: openai.String("x")},
		})
		if err != nil || len(checked.Results) != 1 || checked.Results[0].Flagged {
			t.Errorf("got %+v, %v", checked, err)
		}
		drawn, err := client.Images.Generate(bounded(t), openai.ImageGenerateParams{Model: x.model, Prompt: "a lighthouse"})
		if err != nil || drawn.Data[0].B64JSON != "aW1hZ2U=" {
			t.Errorf("got %+v, %v", drawn, err)
		}
	})
}
