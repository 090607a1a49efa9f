# Puts the certificate of the secrets into this user's store and tells later steps how to sign with it.
$ErrorActionPreference = "Stop"
$file = Join-Path $env:RUNNER_TEMP "certificate.pfx"
try {
    [IO.File]::WriteAllBytes($file, [Convert]::FromBase64String($env:WINDOWS_CERTIFICATE))
    $password = ConvertTo-SecureString $env:WINDOWS_CERTIFICATE_PASSWORD -AsPlainText -Force
    $certificate = Import-PfxCertificate -FilePath $file -CertStoreLocation Cert:\CurrentUser\My -Password $password
} finally {
    Remove-Item $file -ErrorAction SilentlyContinue
}
$thumbprint = @($certificate)[0].Thumbprint
# The file to sign is appended. A time stamp keeps the signature valid after the certificate has ended.
$command = "signtool sign /sha1 $thumbprint /fd sha256 /tr http://timestamp.digicert.com /td sha256"
Add-Content -Path $env:GITHUB_ENV -Value "LOCALAI_SIGN_COMMAND=$command"
