#!/usr/bin/env bash
# Has Apple look at a disk image, waits for the verdict, and fastens it to the image (macOS): notarize.sh IMAGE
set -euo pipefail

image="$1"
key="$RUNNER_TEMP/notary.p8"
trap 'rm -f "$key"' EXIT
printf '%s' "$NOTARY_KEY" > "$key"
xcrun notarytool submit "$image" --key "$key" --key-id "$NOTARY_KEY_ID" --issuer "$NOTARY_ISSUER" --wait --timeout 60m
xcrun stapler staple "$image"
xcrun stapler validate "$image"
spctl --assess --type open --context context:primary-signature --verbose "$image"
