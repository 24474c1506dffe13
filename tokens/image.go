package tokens

import (
	"math"
	"strings"
)

// imageRule is what an image costs a model, as OpenAI's guide "Images and
// vision", "Calculating costs", has it: by tiles of 512 pixels, or by patches of
// 32.
type imageRule struct {
	prefix string // of the model's name
	base   int64  // tokens of an image, and all of one of low detail
	tile   int64  // tokens of a tile
	patch  float64
	rough  bool // bills were seen that say otherwise
}

// imageRules is searched from the top.
var imageRules = []imageRule{
	{prefix: "gpt-4o-mini", base: 2833, tile: 5667},
	{prefix: "gpt-4o", base: 85, tile: 170},
	{prefix: "chatgpt-4o", base: 85, tile: 170},
	{prefix: "gpt-4.1-mini", patch: 1.62},
	{prefix: "gpt-4.1-nano", patch: 2.46},
	{prefix: "gpt-4.1", base: 85, tile: 170},
	{prefix: "gpt-4.5", base: 85, tile: 170},
	{prefix: "gpt-4-turbo", base: 85, tile: 170},
	{prefix: "gpt-4-vision", base: 85, tile: 170},
	{prefix: "gpt-5-mini", patch: 1.62, rough: true},
	{prefix: "gpt-5-nano", patch: 2.46, rough: true},
	{prefix: "gpt-5.", base: 70, tile: 140, rough: true},
	{prefix: "gpt-5", base: 70, tile: 140},
	{prefix: "o4-mini", patch: 1.72},
	{prefix: "o1", base: 75, tile: 150},
	{prefix: "o3", base: 75, tile: 150},
	{prefix: "computer-use-preview", base: 65, tile: 129},
	{prefix: "", base: 85, tile: 170, rough: true},
}

func imageRuleOf(model string) imageRule {
	model = plainName(model)
	for _, r := range imageRules {
		if strings.HasPrefix(model, r.prefix) {
			return r
		}
	}
	panic("BUG: tokens: no rule for images")
}

// anImage is the size of one whose size is not known.
const anImage = 1024

// Image adds an image: the URL that the client gave, which is not fetched, and
// the detail that it asked for. The size is in the first bytes of a data: URL;
// without it, and where the provider chooses the detail, there is an estimate.
func (t *Tally) Image(url, detail []byte) {
	rule := imageRuleOf(t.model)
	t.estimated = t.estimated || rule.rough
	if string(detail) == "low" && rule.patch == 0 {
		t.overhead += rule.base
		return
	}
	width, height, ok := imageSize(url)
	if !ok {
		width, height = anImage, anImage
	}
	if !ok || string(detail) != "high" && rule.patch == 0 {
		t.estimated = true
	}
	t.overhead += rule.tokens(width, height)
}

// EstimateImage guesses the tokens of an image that nobody looked at.
func EstimateImage(model string) int64 {
	rule := imageRuleOf(model)
	return rule.tokens(anImage, anImage)
}

func (r *imageRule) tokens(width, height int) int64 {
	if r.patch > 0 {
		return int64(math.Round(float64(patches(width, height)) * r.patch))
	}
	return r.base + r.tile*tiles(width, height)
}

// tiles is how many squares of 512 pixels cover an image that was made to fit
// into 2048 by 2048, and then to 768 on its shorter side. None is made larger.
func tiles(width, height int) int64 {
	width, height = shrink(width, height, max(width, height), 2048)
	width, height = shrink(width, height, min(width, height), 768)
	return cover(width, 512) * cover(height, 512)
}

// shrink makes an image smaller so that a side that is longer becomes side.
func shrink(width, height, is, side int) (int, int) {
	if is <= side {
		return width, height
	}
	scale := float64(side) / float64(is)
	to := func(length int) int { return max(int(math.Round(float64(length)*scale)), 1) }
	return to(width), to(height)
}

func cover(length, square int) int64 { return int64((length + square - 1) / square) }

const (
	patchSide  = 32
	maxPatches = 1536
)

// patches is how many squares of 32 pixels cover an image that was made to fit
// into 1536 of them.
func patches(width, height int) int64 {
	n := cover(width, patchSide) * cover(height, patchSide)
	if n <= maxPatches {
		return n
	}
	w, h := float64(width), float64(height)
	scale := math.Sqrt(patchSide * patchSide * maxPatches / (w * h))
	across, down := w*scale/patchSide, h*scale/patchSide
	scale *= min(max(math.Floor(across), 1)/across, max(math.Floor(down), 1)/down)
	n = cover(int(w*scale+0.5), patchSide) * cover(int(h*scale+0.5), patchSide)
	return min(max(n, 1), maxPatches)
}
