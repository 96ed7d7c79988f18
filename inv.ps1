# PaddleHomework's one command on Windows, as `inv` elsewhere. On a fresh machine it first makes .venv from the lock:
#   .\inv tasks        .\inv doctor        .\inv --list
$ErrorActionPreference = "Stop"
$root = $PSScriptRoot
$venv = Join-Path $root ".venv"
$own = Join-Path $venv "Scripts\python.exe"
$lock = Join-Path $root "docker\locks\harness.txt"
$stamp = Join-Path $venv "lock.txt"

function Stop-Setup([int] $code, [string[]] $lines) {
    $lines | ForEach-Object { [Console]::Error.WriteLine($_) }
    exit $code
}

function Test-Python([string[]] $words) {
    try {
        $program = $words[0]
        $options = @($words | Select-Object -Skip 1)
        $said = & $program @options -c "import sys, venv; print((3, 10) <= sys.version_info < (3, 14))" 2>$null
        return $said -eq "True"
    } catch {
        return $false
    }
}

# The Python to use: PYTHON where it is set, and no other then.
function Find-Python {
    $candidates = @(@("py", "-3.12"), @("py", "-3.11"), @("py", "-3.13"), @("py", "-3.10"), @("python"), @("python3"))
    if ($env:PYTHON) { $candidates = , @($env:PYTHON) }
    foreach ($words in $candidates) {
        if (Test-Python $words) { return , $words }
    }
    $what = if ($env:PYTHON) { "PYTHON=$env:PYTHON cannot be used: no Python from 3.10 to 3.13 is there." }
            else { "No Python from 3.10 to 3.13 is on PATH." }
    Stop-Setup 3 @($what, "The locks, and Paddle's wheels, are for these versions.",
        "Install one (winget install Python.Python.3.12), or name it: set PYTHON=C:\path\python.exe")
}

function Install-Harness {
    $words = @(Find-Python)
    $program = $words[0]
    $options = @($words | Select-Object -Skip 1)
    foreach ($name in "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONPATH", "PYTHONHOME") {
        Remove-Item "env:$name" -ErrorAction SilentlyContinue
    }
    $env:PIP_USER = "0"; $env:PIP_REQUIRE_VIRTUALENV = "0"; $env:PIP_DISABLE_PIP_VERSION_CHECK = "1"
    [Console]::Error.WriteLine("Making .venv, once")
    & $program @options -m venv --clear $venv
    if ($LASTEXITCODE) {
        Stop-Setup 5 @("The environment .venv could not be made.", "See above; usually the disk is full.", "Call again.")
    }
    # uv's lines of the lock: its requirement and the hashes behind it
    $text = [IO.File]::ReadAllText($lock)
    $uv = Join-Path $venv "uv.txt"
    [IO.File]::WriteAllText($uv, [regex]::Match($text, "(?m)^uv==.*\n(?:[ ].*\n)*").Value)
    & $own -m pip install --require-hashes --no-deps -qq -r $uv
    if (-not $LASTEXITCODE) {
        Push-Location $root
        & $own -m harness.environments.uv
        Pop-Location
    }
    if ($LASTEXITCODE) {
        Stop-Setup 5 @("The packages of docker/locks/harness.txt could not be installed (see above).",
            "Usually the package index is out of reach.",
            "Set a reachable one, for example: pip config set global.index-url URL; then call again.")
    }
    Copy-Item $lock $stamp # last: a set-up that was broken off is done again
}

$whole = (Test-Path $stamp) -and ([IO.File]::ReadAllText($stamp) -ceq [IO.File]::ReadAllText($lock))
if (-not $whole) { Install-Harness }
# The checkout, not the current folder, is where Python looks first.
& $own -c "import sys; sys.path[0] = sys.argv.pop(1); from harness.cli.program import main; import tasks; main(tasks)" $root @args
exit $LASTEXITCODE
