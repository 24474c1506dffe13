package tokens

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// dataURL is a file as a client sends it.
func dataURL(file []byte) []byte {
	return []byte("data:image/x;base64," + base64.StdEncoding.EncodeToString(file))
}

// pngOf is the beginning of a PNG, which is all that is looked at.
func pngOf(width, height int) []byte {
	var file bytes.Buffer
	file.WriteString("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
	for _, side := range []int{width, height} {
		file.Write([]byte{byte(side >> 24), byte(side >> 16), byte(side >> 8), byte(side)})
	}
	return file.Bytes()
}

// Numbers of OpenAI's guide, and of bills that clients published.
func TestKnownImages(t *testing.T) {
	f := func(model string, width, height int, detail string, want int64, estimated bool) {
		t.Helper()
		budget := 0
		tally := newTally(new(Counter), model, &budget)
		tally.Image(dataURL(pngOf(width, height)), []byte(detail))
		if got := tally.Count(); got != (Count{Tokens: want, Estimated: estimated}) {
			t.Errorf("%s, %d by %d, %s: got %+v, want %d, estimated %t", model, width, height, detail, got, want, estimated)
		}
	}
	// the guide's examples
	f("gpt-4o", 1024, 1024, "high", 765, false)
	f("gpt-4o", 2048, 4096, "high", 1105, false)
	f("gpt-4o", 4096, 8192, "low", 85, false)
	f("gpt-4.1-mini", 1024, 1024, "high", 1659, false) // 1024 patches
	f("gpt-4.1-mini", 1800, 2400, "high", 2352, false) // 1452 patches

	// bills: no image is made larger, and sides are rounded
	f("gpt-4o", 128, 64, "high", 255, false)
	f("gpt-4o-mini", 128, 64, "high", 8500, false)
	f("gpt-4o-mini", 128, 64, "low", 2833, false)
	f("o1", 128, 64, "high", 225, false)
	f("gpt-4.1-mini", 128, 64, "high", 13, false)
	f("gpt-4.1-nano", 128, 64, "high", 20, false)
	f("gpt-4.1", 2049, 513, "high", 85+8*170, false)
	f("gpt-4.1", 2050, 513, "high", 85+4*170, false)

	f("gpt-4o", 512, 512, "high", 255, false)
	f("gpt-4o", 513, 512, "high", 425, false)
	f("ft:gpt-4o:acme::1", 1, 1, "high", 255, false)
	f("gpt-5", 1024, 1024, "high", 70+4*140, false)
	f("o4-mini", 32, 32, "high", 2, false)
	f("gpt-4.1-mini", 1<<20, 1, "high", 2488, false)
	f("gpt-4.1-mini", 1<<20, 1<<20, "high", 2464, false)

	// The provider chooses, or nobody has said.
	f("gpt-4o", 1024, 1024, "auto", 765, true)
	f("gpt-4o", 1024, 1024, "", 765, true)
	f("gpt-5-mini", 1024, 1024, "high", 1659, true)
	f("claude-sonnet-4", 1024, 1024, "high", 765, true)
}

// An image that is elsewhere, or is none, is estimated; it is never fetched.
func TestImagesOfUnknownSize(t *testing.T) {
	for _, url := range []string{
		"", "https://example.com/a.png", "data:image/png;base64,", "data:image/png,abc", "data:image/png;base64,!!!!",
		"data:image/png;base64,AAAA", string(dataURL(pngOf(0, 5))), string(dataURL(pngOf(1<<30, 1))),
		string(dataURL(pngOf(5, 5)[:23])), string(dataURL([]byte("\xff\xd8\xff\xda\x00\x08 no frame"))),
	} {
		budget := 0
		tally := newTally(new(Counter), "gpt-4o", &budget)
		tally.Image([]byte(url), []byte("high"))
		if got := tally.Count(); got != (Count{Tokens: EstimateImage("gpt-4o"), Estimated: true}) {
			t.Errorf("%s: got %+v", url, got)
		}
	}
}

// Every size that the encoders of the standard library write is read.
func TestImageSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width, height := rapid.IntRange(1, 300).Draw(t, "width"), rapid.IntRange(1, 300).Draw(t, "height")
		picture := image.NewPaletted(image.Rect(0, 0, width, height), color.Palette{color.Black})
		var file bytes.Buffer
		var err error
		switch rapid.IntRange(0, 2).Draw(t, "format") {
		case 0:
			err = png.Encode(&file, picture)
		case 1:
			err = gif.Encode(&file, picture, nil)
		case 2:
			err = jpeg.Encode(&file, picture, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		if w, h, ok := imageSize(dataURL(file.Bytes())); w != width || h != height || !ok {
			t.Fatalf("got %d by %d, %t, want %d by %d", w, h, ok, width, height)
		}
	})
}

func TestImageSizeOfWebP(t *testing.T) {
	f := func(chunk string, width, height int, want bool) {
		t.Helper()
		file := "RIFF\x00\x00\x00\x00WEBP" + chunk
		if w, h, ok := imageSize(dataURL([]byte(file))); ok != want || ok && (w != width || h != height) {
			t.Errorf("%q: got %d by %d, %t, want %d by %d, %t", chunk, w, h, ok, width, height, want)
		}
	}
	f("VP8 \x00\x00\x00\x00\x30\x01\x00\x9d\x01\x2a\x26\x02\x70\x41", 550, 368, true) // 0x4170: the upper bits are a scale
	f("VP8 \x00\x00\x00\x00\x30\x01\x00\x9d\x01\x2b\x26\x02\x70\x01", 0, 0, false)
	f("VP8L\x00\x00\x00\x00\x2f\x8f\x01\x4b\x00\x00\x00\x00\x00\x00", 400, 301, true)
	f("VP8L\x00\x00\x00\x00\x2e\x8f\x01\x4b\x00\x00\x00\x00\x00\x00", 0, 0, false)
	f("VP8X\x0a\x00\x00\x00\x10\x00\x00\x00\x8f\x01\x00\x2c\x01\x00", 400, 301, true)
	f("ALPH\x0a\x00\x00\x00\x10\x00\x00\x00\x8f\x01\x00\x2c\x01\x00", 0, 0, false)
}

// A photograph's size stands behind its Exif data and profiles.
func TestImageSizeOfPhotograph(t *testing.T) {
	segment := func(kind byte, size int) string {
		return string([]byte{0xff, kind, byte(size >> 8), byte(size)}) + strings.Repeat("x", size-2)
	}
	frame := "\xff\xc2\x00\x11\x08\x0f\xa0\x0b\xb8\x03"
	f := func(file string, ok bool) {
		t.Helper()
		if w, h, got := imageSize(dataURL([]byte("\xff\xd8" + file))); got != ok || ok && (w != 3000 || h != 4000) {
			t.Errorf("%d bytes: got %d by %d, %t, want %t", len(file), w, h, got, ok)
		}
	}
	f(frame, true)
	f(segment(0xe1, 65000)+segment(0xe2, 3000)+"\xff\xff"+segment(0xc4, 20)+frame, true)
	f(strings.Repeat(segment(0xfe, 2), maxSegments-1)+frame, true)
	f(strings.Repeat(segment(0xfe, 2), maxSegments)+frame, false) // somebody is playing
	f(segment(0xe1, 65000), false)
	f(segment(0xe1, 65000)+"x"+frame, false)
	f(frame[:8], false)
}

func FuzzImageSize(f *testing.F) {
	f.Add(pngOf(3, 4), "data:image/png;base64,")
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x04xx\xff\xc0\x00\x11\x08\x00\x01\x00\x01"), "data:;base64,")
	f.Add([]byte("RIFF0000WEBPVP8X000000000000000000"), "DATA:x;BASE64,")
	f.Add([]byte("GIF89a\x01\x00\x01\x00"), "data:")
	f.Fuzz(func(t *testing.T, file []byte, head string) {
		url := head + base64.StdEncoding.EncodeToString(file)
		for _, cut := range []int{0, 1, 2, 3} {
			imageSize([]byte(url[:len(url)-min(cut, len(url))]))
		}
		w, h, ok := imageSize(dataURL(file))
		if !ok {
			return
		}
		if n := tiles(w, h); n < 1 || n > 16 {
			t.Fatalf("%d by %d: %d tiles", w, h, n)
		}
		if n := patches(w, h); n < 1 || n > maxPatches {
			t.Fatalf("%d by %d: %d patches", w, h, n)
		}
		if c, _, err := image.DecodeConfig(bytes.NewReader(file)); err == nil && (c.Width != w || c.Height != h) {
			t.Fatalf("got %d by %d, want %d by %d", w, h, c.Width, c.Height)
		}
	})
}
