package server

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"llmproxy/config"
	"llmproxy/openai"
	"llmproxy/ratelimit"
	"llmproxy/route"
)

// seatWait is when to come back for a seat: nobody knows when one gets free.
const seatWait = time.Second

// sit takes one of the caller's seats, which settle gives back.
func (x *exchange) sit() error {
	if !x.caller.Seats.Take() {
		x.caller.Limits.Concurrency.Inc()
		return openai.ErrTooManyAtOnce(seatWait)
	}
	x.seated = x.caller.Seats != nil
	return nil
}

// hold sets aside the tokens and the money that the request may use, where the
// caller has but so much of them. bill.settle gives back what was not used.
func (x *exchange) hold() error {
	if !x.caller.Meters() {
		return nil
	}
	public := string(x.public)
	held, tokens, refusal := x.caller.Hold(x.route, public, x.mayUse(public), x.startAt)
	x.held, x.quota = held, tokens
	switch refusal {
	case route.TokensSpent:
		x.caller.Limits.Tokens.Inc()
		return openai.ErrTokensLimited(tokens.RetryAfter)
	case route.BudgetSpent:
		x.caller.Limits.Budget.Inc()
		return openai.ErrQuota()
	}
	return nil
}

// mayUse estimates the prompt, and takes the answer to be as long as it may
// be, or else as the caller's answers usually are.
func (x *exchange) mayUse(public string) config.Tokens {
	may := config.Tokens{Prompt: estimatePrompt(public, x.body).Tokens}
	if !x.endpoint.answers {
		return may
	}
	may.Completion = x.parsed.MaxTokens
	if may.Completion <= 0 {
		may.Completion = x.caller.Expect()
	}
	may.Completion *= min(max(x.parsed.N, 1), mostChoices)
	return may
}

// mostChoices is OpenAI's own limit of n.
const mostChoices = 128

// leaveSeat gives the seat back: as soon as the request has ended, while its
// tokens may still be counted.
func (x *exchange) leaveSeat() {
	if x.seated {
		x.caller.Seats.Leave()
		x.seated = false
	}
}

// writeQuotaHeaders tells a client where it stands with its tokens per minute.
func writeQuotaHeaders(h *fasthttp.ResponseHeader, v ratelimit.Verdict) {
	var buf [20]byte
	h.SetCanonical(headerLimitTokens, strconv.AppendInt(buf[:0], v.Limit, 10))
	h.SetCanonical(headerRemainingTokens, strconv.AppendInt(buf[:0], v.Remaining, 10))
	h.Set("X-Ratelimit-Reset-Tokens", v.Reset.Round(time.Millisecond).String())
}

var (
	headerLimitTokens     = []byte("X-Ratelimit-Limit-Tokens")
	headerRemainingTokens = []byte("X-Ratelimit-Remaining-Tokens")
)
