package tokens

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
)

// imageSize reads the size of a PNG, JPEG, GIF or WebP from a data: URL in
// base64. It decodes some dozens of bytes, wherever they stand.
func imageSize(url []byte) (width, height int, ok bool) {
	file, ok := dataOf(url)
	if !ok {
		return 0, 0, false
	}
	var room [32]byte
	head := file.read(room[:], 0)
	switch {
	case bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")) && len(head) >= 24:
		width, height = int(binary.BigEndian.Uint32(head[16:])), int(binary.BigEndian.Uint32(head[20:]))
	case bytes.HasPrefix(head, []byte("GIF8")) && len(head) >= 10:
		width, height = int(binary.LittleEndian.Uint16(head[6:])), int(binary.LittleEndian.Uint16(head[8:]))
	case bytes.HasPrefix(head, []byte("RIFF")) && len(head) >= 30 && string(head[8:12]) == "WEBP":
		width, height = webpSize(head)
	case bytes.HasPrefix(head, []byte("\xff\xd8")):
		width, height = jpegSize(file)
	}
	return width, height, plausible(width) && plausible(height)
}

// plausible reports whether an image can have a side of that many pixels.
func plausible(side int) bool { return 0 < side && side <= 1<<20 }

// webpSize reads the three kinds of WebP (RFC 9649): lossy, lossless, extended.
func webpSize(head []byte) (width, height int) {
	switch string(head[12:16]) {
	case "VP8 ":
		if string(head[23:26]) == "\x9d\x01\x2a" {
			return int(binary.LittleEndian.Uint16(head[26:]) & 0x3fff), int(binary.LittleEndian.Uint16(head[28:]) & 0x3fff)
		}
	case "VP8L":
		if head[20] == 0x2f {
			bits := binary.LittleEndian.Uint32(head[21:])
			return int(bits&0x3fff) + 1, int(bits>>14&0x3fff) + 1
		}
	case "VP8X":
		return int(binary.LittleEndian.Uint32(head[23:])>>8) + 1, int(binary.LittleEndian.Uint32(head[26:])>>8) + 1
	}
	return 0, 0
}

// maxSegments of a JPEG stand before its size: Exif, colour profiles, tables.
const maxSegments = 1024

// jpegSize goes from segment to segment (ITU T.81, B.1.1) up to the frame's.
func jpegSize(file base64Text) (width, height int) {
	var room [9]byte
	at := 2
	for range maxSegments {
		s := file.read(room[:], at)
		if len(s) < 4 || s[0] != 0xff {
			return 0, 0
		}
		switch kind := s[1]; {
		case kind == 0xff: // may stand before any marker
			at++
			continue
		case kind >= 0xc0 && kind <= 0xcf && kind != 0xc4 && kind != 0xc8 && kind != 0xcc:
			if len(s) < len(room) {
				return 0, 0
			}
			return int(binary.BigEndian.Uint16(s[7:])), int(binary.BigEndian.Uint16(s[5:]))
		case kind == 0xd9 || kind == 0xda: // the end, or the image, without a frame
			return 0, 0
		}
		at += 2 + int(binary.BigEndian.Uint16(s[2:]))
	}
	return 0, 0
}

// base64Text is a file as a data: URL has it.
type base64Text []byte

// maxMediaType is what may stand before a data: URL's data.
const maxMediaType = 256

func dataOf(url []byte) (base64Text, bool) {
	if len(url) < 5 || !bytes.EqualFold(url[:5], []byte("data:")) {
		return nil, false
	}
	comma := bytes.IndexByte(url[:min(len(url), maxMediaType)], ',')
	mark := comma - len(";base64")
	if mark < 0 || !bytes.EqualFold(url[mark:comma], []byte(";base64")) {
		return nil, false
	}
	return base64Text(url[comma+1:]), true
}

// read fills dst with the bytes of the file from at on and returns what there
// is of them; nothing if it is no base64. dst is at most 32 bytes long.
func (b base64Text) read(dst []byte, at int) []byte {
	var groups [48]byte
	from := at / 3 * 4
	to := min((at+len(dst)+2)/3*4, len(b)&^3)
	if from >= to {
		return nil
	}
	n, err := base64.StdEncoding.Decode(groups[:], b[from:to])
	if err != nil || n <= at%3 {
		return nil
	}
	return dst[:copy(dst, groups[at%3:n])]
}
