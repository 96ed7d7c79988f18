@echo off
rem PaddleHomework's command on Windows: inv run, inv tasks, as ./inv elsewhere.
powershell -NoProfile -ExecutionPolicy Bypass -File "%~dp0inv.ps1" %*
exit /b %ERRORLEVEL%
