#!/usr/bin/env bash
# Puts the certificate of the secrets into a keychain of its own and tells later steps which identity signs (macOS).
set -euo pipefail

keychain="$RUNNER_TEMP/localai.keychain-db"
file="$RUNNER_TEMP/certificate.p12"
trap 'rm -f "$file"' EXIT
password="$(openssl rand -hex 24)"
printf '%s' "$MACOS_CERTIFICATE" | base64 --decode > "$file"
security create-keychain -p "$password" "$keychain"
security set-keychain-settings -lut 21600 "$keychain"
security unlock-keychain -p "$password" "$keychain"
security import "$file" -P "$MACOS_CERTIFICATE_PASSWORD" -f pkcs12 -k "$keychain" -T /usr/bin/codesign
security set-key-partition-list -S apple-tool:,apple: -s -k "$password" "$keychain" > /dev/null
security list-keychains -d user -s "$keychain" login.keychain-db
identity="$(security find-identity -v -p codesigning "$keychain" | sed -n 's/.*"\(Developer ID Application: .*\)"/\1/p' | head -n 1)"
if [ -z "$identity" ]; then
  echo "The certificate is no Developer ID Application certificate." >&2
  exit 1
fi
echo "LOCALAI_SIGN_IDENTITY=$identity" >> "$GITHUB_ENV"
