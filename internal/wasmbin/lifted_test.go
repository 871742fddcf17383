package wasmbin

import "testing"

// Go's linker writes thousands of data segments, and each instance has a place for each that is
// left in the module.
func TestLiftedSegmentsTakeNoPlaceInInstances(t *testing.T) {
	m := testModule{memories: [][]byte{{0, 1}}}
	for i := range byte(100) {
		m.data = append(m.data, []byte{0, byte(opI32Const), i & 63, byte(opEnd), 1, i})
	}
	for name, count := range map[string]*uint32{"counted": new(uint32(100)), "not counted": nil} {
		m.dataCount = count
		out, report, err := Rewrite(m.bytes(), Options{Stop: true, Capture: true, ImportModule: "wasivirt"})
		if err != nil {
			t.Fatal(err)
		}
		again, err := Inspect(out)
		if err != nil {
			t.Fatal(err)
		}
		left := again.cursor(again.section(secData)).u32()
		if want := uint32(0); count == nil && left != want || count != nil && left != 100 {
			t.Errorf("%s: %d segments are left", name, left)
		}
		if len(report.Capture.Data) != 100 {
			t.Errorf("%s: %d segments were taken out", name, len(report.Capture.Data))
		}
	}
}
