package sdk

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"

	"llmproxy/internal/fakeprovider"
)

func TestChat(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		x.answering(fakeprovider.Reply{})
		var body []byte
		var resp *http.Response
		got, err := x.client(t).Chat.Completions.New(bounded(t), x.ask(), sent(&body), option.WithResponseInto(&resp))
		if err != nil {
			t.Fatal(err)
		}
		if c := got.Choices[0]; c.Message.Content != secretAnswer || c.FinishReason != "stop" {
			t.Errorf("got %+v", c)
		}
		if got.Model != upstreamModel {
			t.Errorf("the model is %q, not the provider's word", got.Model)
		}
		if u := got.Usage; u.PromptTokens != 11 || u.CompletionTokens != 7 || u.PromptTokensDetails.CachedTokens != 3 || u.CompletionTokensDetails.ReasoningTokens != 2 {
			t.Errorf("usage is %+v", u)
		}
		if resp.Header.Get("X-Request-Id") == "" || resp.Header.Get("Openai-Processing-Ms") != "12" || resp.Header.Get("X-Ratelimit-Remaining-Requests") != "99" {
			t.Errorf("the header lacks what the provider said: %v", resp.Header)
		}
		x.sameBytes(t, body)
	})
}

func TestSeveralChoices(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		params := x.ask()
		params.N = openai.Int(3)
		got, err := x.client(t).Chat.Completions.New(bounded(t), params)
		if err != nil || len(got.Choices) != 3 || got.Choices[2].Index != 2 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// weather is a tool to call.
func weather() openai.ChatCompletionToolUnionParam {
	return openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
		Name: "weather",
		Parameters: shared.FunctionParameters{
			"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}},
		},
	})
}

func TestTools(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		params := x.ask()
		params.Tools = []openai.ChatCompletionToolUnionParam{weather()}
		client := x.client(t)
		var body []byte
		got, err := client.Chat.Completions.New(bounded(t), params, sent(&body))
		if err != nil {
			t.Fatal(err)
		}
		calls := got.Choices[0].Message.ToolCalls
		if len(calls) != 1 || calls[0].Function.Name != "weather" || calls[0].Function.Arguments != `{"city":"Paris"}` || got.Choices[0].FinishReason != "tool_calls" {
			t.Fatalf("got %+v", got.Choices[0])
		}
		x.sameBytes(t, body)

		params.Messages = append(params.Messages, got.Choices[0].Message.ToParam(), openai.ToolMessage("rain", calls[0].ID))
		params.Tools = nil
		x.answering(fakeprovider.Reply{})
		got, err = client.Chat.Completions.New(bounded(t), params, sent(&body))
		if err != nil || got.Choices[0].Message.Content != secretAnswer {
			t.Errorf("with the tool's result: got %+v, %v", got, err)
		}
		x.sameBytes(t, body)
	})
}

func TestResponseFormat(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		params := x.ask()
		params.ResponseFormat = openai.ChatCompletionNewParamsResponseFormatUnion{
			OfJSONSchema: &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{
				Name: "answer", Strict: openai.Bool(true), Schema: map[string]any{"type": "object"},
			}},
		}
		var body []byte
		got, err := x.client(t).Chat.Completions.New(bounded(t), params, sent(&body))
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ Answer int }
		if err := json.Unmarshal([]byte(got.Choices[0].Message.Content), &answer); err != nil || answer.Answer != 42 {
			t.Errorf("got %q, %v", got.Choices[0].Message.Content, err)
		}
		x.sameBytes(t, body)
	})
}

func TestPictures(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		params := x.ask()
		params.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
			openai.TextContentPart("What is in the picture?"),
			openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "data:image/png;base64,iVBORw0KGgo=", Detail: "low"}),
		})}
		var body []byte
		if _, err := x.client(t).Chat.Completions.New(bounded(t), params, sent(&body)); err != nil {
			t.Fatal(err)
		}
		x.sameBytes(t, body)
	})
}

// TestUnknownParameters: what OpenAI adds tomorrow passes through today, as it
// is written.
func TestUnknownParameters(t *testing.T) {
	against(t, func(t *testing.T, x *target) {
		body := []byte("{ \"future\": {\"model\": \"not this one\", \"n\": 1.50, \"big\": 12345678901234567890},\r\n" +
			"\t\"model\" : \"" + x.model + "\", \"messages\": [{\"role\":\"user\",\"content\":\"\\u00e9 é \\ud83c\\udf0d\"}], \"\": null }")
		got, err := x.client(t).Chat.Completions.New(bounded(t), openai.ChatCompletionNewParams{}, option.WithRequestBody("application/json", body))
		if err != nil || len(got.Choices) != 1 {
			t.Fatalf("got %+v, %v", got, err)
		}
		x.sameBytes(t, body)
	})
}
