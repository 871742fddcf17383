package main

import (
	"strings"
	"testing"
)

// layer is a plug that upper-cases what is printed.
const layer = "../layer/guest/layer.wasm"

func TestPlug(t *testing.T) {
	if o := wasivirt(t, "run", "-plug", layer, "-plug", layer, do, "echo", "small"); o.status != 0 || !strings.Contains(o.stdout, "SMALL") {
		t.Errorf("%+v", o)
	}
	if o := wasivirt(t, "run", "-plug", do, do, "echo", "small"); o.status != exitHost || !strings.Contains(o.stderr, "-plug ") {
		t.Errorf("%+v", o)
	}
	if o := wasivirt(t, "explore", "-plug", layer, "-seeds", "1..2", do, "echo", "small"); o.status != exitHost || !strings.Contains(o.stderr, "-plug") {
		t.Errorf("%+v", o)
	}
}
