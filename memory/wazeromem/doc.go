// Package wazeromem works on the memory of guests through wazero's api.Memory.
//
// [FromModule] returns the bytes of a memory, and [Pages] its size and its limit. Both are right at
// 4 GiB. [Allocator] gets blocks from the guest's own malloc, for host code that passes strings to
// exports. [ReadString], [ReadCString] and [Copy] copy bytes out of guests and between guests.
package wazeromem
