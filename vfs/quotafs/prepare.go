package quotafs

import (
	"context"

	"github.com/wasivirt/wasivirt/vfs"
)

// A file that is copied before its first change (see vfs.Preparer) is charged then, with an inode,
// its metadata and the size that it keeps, as if it had been made through the wrapper.

// Prepare implements [vfs.Preparer].
func (f *file) Prepare(ctx context.Context, keep int64, charge func(ino uint64, inodes, bytes int64) error) error {
	return f.fs.prepare(ctx, f.Below, keep, charge)
}

// prepare prepares a node of the file system below, if that needs it, and charges its copy. No lock
// is held.
func (f *FS) prepare(ctx context.Context, below vfs.Node, keep int64, charge func(ino uint64, inodes, bytes int64) error) error {
	p, ok := below.(vfs.Preparer)
	switch {
	case !ok:
		return nil
	case charge == nil:
		return p.Prepare(ctx, keep, f.chargeCopy)
	}
	return p.Prepare(ctx, keep, func(ino uint64, inodes, bytes int64) error {
		if inodes < 0 {
			_ = charge(ino, inodes, bytes)
			return f.copied(ino, inodes, bytes)
		}
		if err := f.copied(ino, inodes, bytes); err != nil {
			return err
		}
		if err := charge(ino, inodes, bytes); err != nil {
			_ = f.copied(ino, -inodes, -bytes)
			return err
		}
		return nil
	})
}

// copied charges a file that is about to be copied, all of it or nothing, or with negative numbers
// takes that back. Errors: ENOSPC or EDQUOT.
func (f *FS) copied(ino uint64, inodes, bytes int64) error {
	in := f.inode(ino)
	defer f.drop(ino, in)
	if inodes < 0 {
		f.refund(in)
		return nil
	}
	if err := f.takeInode(); err != nil {
		return err
	}
	if err := f.takeMeta(vfs.InodeBytes); err != nil {
		f.giveInode()
		return err
	}
	got, err := f.take(bytes)
	if err != nil {
		f.give(got)
		f.giveMeta(vfs.InodeBytes)
		f.giveInode()
		return err
	}
	f.charge(in, got)
	f.charged(in, 0, vfs.InodeBytes, 1)
	return nil
}

// kept charges metadata that the file system below keeps for an inode besides, all of it or
// nothing, or gives some back. Errors: ENOSPC or EDQUOT.
func (f *FS) kept(ino uint64, bytes int64) error {
	if err := f.takeMeta(max(bytes, 0)); err != nil {
		return err
	}
	in := f.inode(ino)
	defer f.drop(ino, in)
	f.chargeMeta(in, bytes)
	return nil
}
