package virt

import (
	"fmt"
	"reflect"

	"github.com/tetratelabs/wazero/api"
)

// moduleConfig is what a wazero.ModuleConfig gave to a module, as far as wazero lets it be seen.
type moduleConfig struct {
	mounts []string // the guest's paths
}

// seenBy returns options for what the wazero.ModuleConfig of mod says, with opts, which win. wazero keeps it in fields
// and methods that are exported, of types that are not.
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
	given.mounts = mountsOf(sys)
	return append(all, opts...), given
}

func configured(name string, set func(*config)) GuestOption {
	return guestOption(name, func(c *config) error { set(c); return nil })
}

// result calls a method without parameters, and returns its result. Methods are looked up by constant names: any other lookup makes
// the linker keep all exported methods of a program.
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

// firstMount is the first descriptor that can be a mount.
const firstMount = 3

// mountsOf are the paths of a configuration's mounts.
func mountsOf(sys reflect.Value) (paths []string) {
	files, ok := result(sys.MethodByName("FS"))
	if !ok || files.Kind() != reflect.Pointer || files.IsNil() {
		return nil
	}
	lookup := files.MethodByName("LookupFile")
	if !lookup.IsValid() || lookup.Type().NumIn() != 1 || lookup.Type().In(0).Kind() != reflect.Int32 || lookup.Type().NumOut() != 2 {
		return nil
	}
	for fd := int32(firstMount); ; fd++ {
		r := lookup.Call([]reflect.Value{reflect.ValueOf(fd)})
		if r[1].Kind() != reflect.Bool || !r[1].Bool() {
			return paths
		}
		name := "?"
		if f := reflect.Indirect(r[0]).FieldByName("Name"); f.IsValid() && f.Kind() == reflect.String {
			name = f.String()
		}
		paths = append(paths, name)
	}
}

// conflict is the error of a configuration that asks for what only options can give.
func (m moduleConfig) conflict(c *config) error {
	if len(m.mounts) == 0 || c.mounts != nil {
		return nil
	}
	return fmt.Errorf("its wazero.ModuleConfig mounts %q, which the Host does not see: mount a file system with virt.WithMount(%q, …) in dropin.Instantiate or dropin.WithOptions, or say virt.WithoutFiles", m.mounts, m.mounts[0])
}
