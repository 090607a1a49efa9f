#!/bin/sh
# Puts Local AI into your menu and opens .gguf files and hf: links with it: for you only, from the folder that this script is in.
# `register.sh --remove` takes all of that back. The program itself needs neither.
set -eu

here="$(cd "$(dirname "$0")" && pwd)"
data="${XDG_DATA_HOME:-$HOME/.local/share}"
entry="$data/applications/localai-app.desktop"
type="$data/mime/packages/localai-app.xml"

update() {
  # Desktops notice sooner or later without these.
  if command -v update-desktop-database >/dev/null; then update-desktop-database "$data/applications" || true; fi
  if command -v update-mime-database >/dev/null; then update-mime-database "$data/mime" || true; fi
}

if [ "${1:-}" = "--remove" ]; then
  rm -f "$entry" "$type"
  find "$data/icons/hicolor" -name 'localai-app.png' -delete 2>/dev/null || true
  rm -f "$data/icons/hicolor/scalable/apps/localai-app.svg"
  update
  echo "Local AI is no longer in the menu. Its folder, your models and your chats are untouched."
  exit 0
fi

mkdir -p "$data/applications" "$data/mime/packages"
# In the value of Exec, quotation marks enclose a path with spaces, and four characters are escaped within them.
program="$(printf '%s' "$here/localai-app" | sed 's/[\\"`$]/\\\\&/g; s/%/%%/g; s/[&|\\]/\\&/g')"
sed "s|^Exec=localai-app|Exec=\"$program\"|" "$here/share/applications/localai-app.desktop" >"$entry"
cp "$here/share/mime/packages/localai-app.xml" "$type"
cp -R "$here/share/icons" "$data/"
update
echo "Local AI is in the menu. If you move this folder, run this script again."
