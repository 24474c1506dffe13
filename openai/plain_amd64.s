//go:build !portable

#include "textflag.h"

// func plainVector(p *byte, n int) int
//
// 32 bytes at a time: those equal to a quote, those equal to a backslash, and
// those that are no greater than 0x1f (the smaller of such a byte and 0x1f is the byte
// itself) give 0xff in their place; the first bit of the three together is the answer.
TEXT ·plainVector(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), SI
	MOVQ n+8(FP), CX
	MOVQ SI, DI              // where it began
	MOVL $0x22, AX           // quote
	VMOVD AX, X1
	VPBROADCASTB X1, Y1
	MOVL $0x5c, AX           // backslash
	VMOVD AX, X2
	VPBROADCASTB X2, Y2
	MOVL $0x1f, AX           // the last control character
	VMOVD AX, X3
	VPBROADCASTB X3, Y3

	CMPQ CX, $64
	JLT  single

double:
	VMOVDQU  (SI), Y4
	VMOVDQU  32(SI), Y8
	VPCMPEQB Y4, Y1, Y5
	VPCMPEQB Y8, Y1, Y9
	VPCMPEQB Y4, Y2, Y6
	VPCMPEQB Y8, Y2, Y10
	VPMINUB  Y4, Y3, Y7
	VPMINUB  Y8, Y3, Y11
	VPCMPEQB Y4, Y7, Y7
	VPCMPEQB Y8, Y11, Y11
	VPOR     Y5, Y6, Y5
	VPOR     Y9, Y10, Y9
	VPOR     Y5, Y7, Y5
	VPOR     Y9, Y11, Y9
	VPOR     Y5, Y9, Y12
	VPTEST   Y12, Y12
	JNZ      inDouble
	ADDQ     $64, SI
	SUBQ     $64, CX
	CMPQ     CX, $64
	JGE      double

single:
	CMPQ     CX, $32
	JLT      done
	VMOVDQU  (SI), Y4
	VPCMPEQB Y4, Y1, Y5
	VPCMPEQB Y4, Y2, Y6
	VPMINUB  Y4, Y3, Y7
	VPCMPEQB Y4, Y7, Y7
	VPOR     Y5, Y6, Y5
	VPOR     Y5, Y7, Y5
	VPMOVMSKB Y5, AX
	TESTL    AX, AX
	JNZ      hit
	ADDQ     $32, SI
	SUBQ     $32, CX
	JMP      done

inDouble:
	VPMOVMSKB Y5, AX
	TESTL    AX, AX
	JNZ      hit
	ADDQ     $32, SI
	VPMOVMSKB Y9, AX

hit:
	BSFL AX, AX
	ADDQ AX, SI

done:
	SUBQ DI, SI
	VZEROUPPER
	MOVQ SI, ret+16(FP)
	RET
