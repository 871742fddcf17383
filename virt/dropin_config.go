package virt

import (
	"fmt"
	"io"
	"math/rand"
	"reflect"
	"runtime"
	"strings"

	"github.com/tetratelabs/wazero/api"
	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
)

// moduleConfig is what a wazero.ModuleConfig gave to a module, as far as wazero lets it be seen.
type moduleConfig struct {
	mounts []string // the guest's paths
	clocks []string // the ModuleConfig's methods that set them
}

// seenBy returns options for what the wazero.ModuleConfig of mod says, with opts, which win. wazero
// keeps it in fields and methods that are exported, of types that are not.
func seenBy(mod api.Module, opts []GuestOption) (all []GuestOption, given moduleConfig) {
	v := reflect.Indirect(reflect.ValueOf(mod))
	if v.Kind() != reflect.Struct {
		return opts, given
	}
	sys := v.FieldByName("Sys")
	if !sys.IsValid() || sys.Kind() != reflect.Pointer || sys.IsNil() {
		return opts, given
	}
	if args := texts(sys.MethodByName("Args")); len(args) > 0 {
		all = append(all, configured("wazero.ModuleConfig.WithArgs", func(c *config) {
			if c.argv0 == "" && c.args == nil && c.argsFn == nil {
				c.argv0, c.args = args[0], args[1:]
			}
		}))
	}
	if env := texts(sys.MethodByName("Environ")); len(env) > 0 {
		all = append(all, configured("wazero.ModuleConfig.WithEnv", func(c *config) {
			if reflect.ValueOf(c.env).IsZero() {
				c.env = c.env.WithVars(env...)
			}
		}))
	}
	for fd := range int32(firstMount) {
		if file := streamOf(sys, fd); file != nil {
			all = append(all, configured("wazero.ModuleConfig.WithStdin, WithStdout, WithStderr", func(c *config) {
				switch {
				case c.streams[fd] != nil:
				case fd == 0 && c.stdin == nil:
					c.stdin = file
				case fd > 0 && c.writers[fd-1] == nil:
					c.writers[fd-1] = file
				}
			}))
		}
	}
	if source := randomOf(sys); source != nil {
		all = append(all, configured("wazero.ModuleConfig.WithRandSource", func(c *config) {
			if c.random == nil && c.seed == nil {
				c.random = source
			}
		}))
	}
	given.mounts, given.clocks = mountsOf(sys), clocksOf(sys)
	return append(all, opts...), given
}

func configured(name string, set func(*config)) GuestOption {
	return guestOption(name, func(c *config) error { set(c); return nil })
}

// result calls a method without parameters, and returns its result. Methods are looked up by
// constant names: any other lookup makes the linker keep all exported methods of a program.
func result(m reflect.Value) (reflect.Value, bool) {
	if !m.IsValid() || m.Type().NumIn() != 0 || m.Type().NumOut() != 1 {
		return reflect.Value{}, false
	}
	return m.Call(nil)[0], true
}

// texts are the results of a method that returns a [][]byte.
func texts(m reflect.Value) (all []string) {
	r, _ := result(m)
	if !r.IsValid() || !r.CanInterface() {
		return nil
	}
	bytes, _ := r.Interface().([][]byte)
	for _, b := range bytes {
		all = append(all, string(b))
	}
	return all
}

// configuredFile is a stream of a ModuleConfig.
type configuredFile struct{ file experimentalsys.File }

// Read implements [io.Reader].
func (f configuredFile) Read(p []byte) (int, error) {
	n, errno := f.file.Read(p)
	switch {
	case errno != 0:
		return n, errno
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write implements [io.Writer].
func (f configuredFile) Write(p []byte) (int, error) {
	n, errno := f.file.Write(p)
	if errno != 0 {
		return n, errno
	}
	return n, nil
}

// entryOf finds a descriptor of a configuration.
func entryOf(sys reflect.Value, fd int32) (entry reflect.Value, ok bool) {
	files, ok := result(sys.MethodByName("FS"))
	if !ok || files.Kind() != reflect.Pointer || files.IsNil() {
		return entry, false
	}
	find := files.MethodByName("LookupFile")
	if !find.IsValid() || find.Type().NumIn() != 1 || find.Type().In(0).Kind() != reflect.Int32 || find.Type().NumOut() != 2 {
		return entry, false
	}
	r := find.Call([]reflect.Value{reflect.ValueOf(fd)})
	if r[1].Kind() != reflect.Bool || !r[1].Bool() {
		return entry, false
	}
	entry = reflect.Indirect(r[0])
	return entry, entry.Kind() == reflect.Struct
}

// streamOf is a standard stream of a configuration, nil where it is wazero's default.
func streamOf(sys reflect.Value, fd int32) io.ReadWriter {
	entry, ok := entryOf(sys, fd)
	if !ok {
		return nil
	}
	field := entry.FieldByName("File")
	if !field.IsValid() || !field.CanInterface() {
		return nil
	}
	file, ok := field.Interface().(experimentalsys.File)
	if !ok || strings.Contains(reflect.TypeOf(file).String(), "noopStd") {
		return nil
	}
	return configuredFile{file}
}

// randomOf is the source of randomness of a configuration, nil where it may be wazero's default,
// which repeats.
func randomOf(sys reflect.Value) io.Reader {
	r, ok := result(sys.MethodByName("RandSource"))
	if !ok || !r.CanInterface() {
		return nil
	}
	source, _ := r.Interface().(io.Reader)
	if _, fake := source.(*rand.Rand); fake {
		return nil
	}
	return source
}

// clocksOf are the clocks that a configuration has from the embedder: functions that are not
// wazero's own.
func clocksOf(sys reflect.Value) (names []string) {
	sys = reflect.Indirect(sys)
	for _, c := range []struct{ field, option string }{{"walltime", "WithWalltime"}, {"nanotime", "WithNanotime"}, {"nanosleep", "WithNanosleep"}} {
		f := sys.FieldByName(c.field)
		if f.Kind() != reflect.Func || f.IsNil() {
			continue
		}
		if fn := runtime.FuncForPC(f.Pointer()); fn != nil && !strings.Contains(fn.Name(), "github.com/tetratelabs/wazero/") {
			names = append(names, c.option)
		}
	}
	return names
}

// firstMount is the first descriptor that can be a mount.
const firstMount = 3

// mountsOf are the paths of a configuration's mounts.
func mountsOf(sys reflect.Value) (paths []string) {
	for fd := int32(firstMount); ; fd++ {
		entry, ok := entryOf(sys, fd)
		if !ok {
			return paths
		}
		name := "?"
		if f := entry.FieldByName("Name"); f.IsValid() && f.Kind() == reflect.String {
			name = f.String()
		}
		paths = append(paths, name)
	}
}

// conflict is the error of a configuration that asks for what only options can give.
func (m moduleConfig) conflict(c *config) error {
	if len(m.clocks) > 0 && c.clock == nil {
		return fmt.Errorf("its wazero.ModuleConfig has clocks (%s), which the Host does not use: give one to dropin.Instantiate by virt.WithClock", strings.Join(m.clocks, ", "))
	}
	if len(m.mounts) == 0 || c.mounts != nil {
		return nil
	}
	return fmt.Errorf("its wazero.ModuleConfig mounts %q, which the Host does not see: mount a file system with virt.WithMount(%q, …) in dropin.Instantiate or dropin.WithOptions, or say virt.WithoutFiles", m.mounts, m.mounts[0])
}
