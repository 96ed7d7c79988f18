"""The package behind the commands: cli, catalogue, machine, doctor, environments, engines, runs, evidence, points …"""
