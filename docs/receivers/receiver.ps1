# A receiver of noticebus webhooks. PowerShell 7.2 or newer. It writes each event into a folder, which
# is also how it knows repeats; another script takes the events from there: your code.
using namespace System.Security.Cryptography
$ErrorActionPreference = 'Stop'
$secret = [Convert]::FromBase64String(($env:WEBHOOK_SECRET -replace '^whsec_', ''))
if ($secret.Length -lt 24) { throw "WEBHOOK_SECRET is not the subscription's secret." }
$port = if ($env:PORT) { $env:PORT } else { '9000' }
$folder = New-Item -ItemType Directory -Force -Path 'events'
$bodyBytesMax = 2MB

# Check age and signature of the body as it came, before anything parses it.
function Test-Genuine($headers, [byte[]] $body) {
    $id, $sentAt = $headers['webhook-id'], $headers['webhook-timestamp']
    if (-not $id -or $sentAt -notmatch '^\d{1,12}$') { return $false }
    if ([Math]::Abs([DateTimeOffset]::UtcNow.ToUnixTimeSeconds() - [long] $sentAt) -gt 300) { return $false }
    [byte[]] $signed = [Text.Encoding]::UTF8.GetBytes("$id.$sentAt.") + $body
    $hash = [HMACSHA256]::HashData($secret, $signed)
    $right = [Text.Encoding]::ASCII.GetBytes('v1,' + [Convert]::ToBase64String($hash))
    $genuine = $false # several v1 signatures come while the secret is rotated: one is enough
    foreach ($one in ([string] $headers['webhook-signature']).Split(' ')) {
        $sent = [Text.Encoding]::ASCII.GetBytes($one)
        $genuine = [CryptographicOperations]::FixedTimeEquals($sent, $right) -or $genuine
    }
    return $genuine
}

function Send-Answer($response, [int] $status, [string] $text = '') {
    $response.StatusCode = $status
    $bytes = [Text.Encoding]::UTF8.GetBytes($text)
    if ($bytes.Length) { $response.OutputStream.Write($bytes, 0, $bytes.Length) }
    $response.Close()
}

function Receive-Event($context) {
    $request, $response = $context.Request, $context.Response
    if ($request.HttpMethod -ne 'POST') { return Send-Answer $response 405 }
    if ($request.ContentLength64 -gt $bodyBytesMax -or $request.ContentLength64 -lt 0) { return Send-Answer $response 413 }
    $copy = [IO.MemoryStream]::new()
    $request.InputStream.CopyTo($copy)
    $body = $copy.ToArray()
    if (-not (Test-Genuine $request.Headers $body)) { return Send-Answer $response 401 }
    $event_ = [Text.Encoding]::UTF8.GetString($body) | ConvertFrom-Json
    if ($event_.type -eq 'org.noticebus.subscription.verify.v1') { return Send-Answer $response 200 $event_.data.challenge }
    if ($event_.id -notmatch '^dlv_[0-9a-z]{26}$') { return Send-Answer $response 400 }
    $file = Join-Path $folder "$($event_.id).json"
    if (-not (Test-Path $file)) { # a repeat is answered like the first, and dropped
        [IO.File]::WriteAllBytes("$file.part", $body)
        Move-Item "$file.part" $file # whole or not at all: your code reads *.json
    }
    Send-Answer $response 204
}

$listener = [Net.HttpListener]::new()
$listener.Prefixes.Add("http://127.0.0.1:$port/")
$listener.Start()
while ($listener.IsListening) {
    $context = $listener.GetContext()
    try { Receive-Event $context } catch { Write-Warning "$_"; $context.Response.Abort() }
}
