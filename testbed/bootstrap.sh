#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Installs what is missing, builds the testbed's program and hands over to it:
# everything else is there.
set -eu

here=$(dirname "$(readlink -f "$0")")
# The checkout as it is called: in one that tests make, this directory is a link.
repo=$(realpath -s "$0")
repo=${repo%/*/*}

die() {
	echo "error: $*" >&2
	exit 1
}

# packages_for RELEASE: the packages that a Debian release needs.
packages_for() {
	sed -e 's/#.*//' "$here/packages/common" "$here/packages/debian-$1"
}

# missing_of PACKAGE...: those that are not installed.
missing_of() {
	for package in "$@"; do
		state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=
		[ "$state" = installed ] || printf ' %s' "$package"
	done
}

install_missing() {
	# shellcheck source=/dev/null
	release=$(. /etc/os-release && echo "$ID-${VERSION_ID:-}")
	case $release in
	debian-12 | debian-13) ;;
	*)
		die "this needs Debian 12 or 13, and the system says $release" \
			"(to edit a tree that KSRC= names, git, cc and Rust 1.85 are enough)"
		;;
	esac
	# shellcheck disable=SC2046 # words are what is wanted
	missing=$(missing_of $(packages_for "${release#debian-}"))
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" -eq 0 ]; then
		as_root=
	elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
		as_root=sudo
	else
		die "an administrator must run: apt-get install$missing"
	fi
	echo "Installing$missing" >&2
	mkdir -p "$repo/build/log"
	log=$repo/build/log/packages.log
	# shellcheck disable=SC2016,SC2086 # words are what is wanted, inside
	$as_root env DEBIAN_FRONTEND=noninteractive sh -c '
		install="apt-get install -y --no-remove --no-install-recommends"
		$install "$@" || { apt-get update && $install "$@"; }
	' sh $missing >"$log" 2>&1 || die "apt could not install$missing; the log is $log"
}

# The distribution's cargo and rustc, whatever else is first in PATH; where there
# are none, the user's. The program itself still sees the user's PATH, for the
# user's own kernel builds.
cargo() {
	if [ -x /usr/bin/cargo ]; then
		env -u RUSTUP_TOOLCHAIN -u MAKEFLAGS RUSTC=/usr/bin/rustc /usr/bin/cargo "$@"
	else
		env -u RUSTC -u MAKEFLAGS cargo "$@"
	fi
}

# only_edits ARGUMENT...: whether all that is asked for is to edit a kernel's source.
only_edits() {
	while [ $# -gt 0 ] && [ "${1#--}" != "$1" ]; do
		shift
	done
	case ${1-} in
	install-tree | uninstall-tree) ;;
	patches) [ $# -gt 1 ] ;; # or else Debian's source is fetched
	*) false ;;
	esac
}

# has_enough: whether the testbed's program can be built, and find what it calls to
# edit a kernel's source.
has_enough() {
	wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$here/harness/Cargo.toml")
	found=$(cargo --version 2>/dev/null | cut -d' ' -f2)
	command -v git >/dev/null && command -v cc >/dev/null &&
		printf '%s\n' "$wanted" "$found" | sort -C -V
}

# What edits a kernel's source is for any system.
{ only_edits "$@" && has_enough; } || install_missing

target=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/ipmmu-vmsa/harness}
quiet=--quiet
if [ ! -x "$target/debug/ipmmu-testbed" ]; then
	echo "  ... Building the testbed's program" >&2
	quiet=
fi
mkdir -p "$target" "$repo/build"
# Checkouts share what is built, and cargo tells their files apart by age alone.
exec 9>"$target/lock"
flock 9
if [ "$(cat "$target/built-for" 2>/dev/null)" != "$repo" ]; then
	touch "$here/harness/src/main.rs" "$here"/harness/tests/*.rs
fi
echo "$repo" >"$target/built-for"
cargo build $quiet --target-dir "$target" --manifest-path "$here/harness/Cargo.toml" 9>&- ||
	die "the testbed's program could not be built (is there a network?)"
program=$repo/build/ipmmu-testbed
cp "$target/debug/ipmmu-testbed" "$program.new"
mv "$program.new" "$program"
exec 9>&-
exec "$program" --repo "$repo" "$@"
