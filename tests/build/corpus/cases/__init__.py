"""The cases, a module for each topic. README.md beside this folder tells how to write one."""
