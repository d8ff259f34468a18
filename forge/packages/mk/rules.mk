# Stands in for OpenWrt's rules.mk when the mini-SDK (forge/packages/makefile.py) evaluates a package Makefile: the names
# that such a Makefile may use, with the values they have there. TOPDIR is a folder laid out like OpenWrt's tree.

ifndef __rules_inc
__rules_inc:=1

# Recipes are written for bash, as in OpenWrt: dash's echo reads backslashes otherwise.
SHELL:=/usr/bin/env bash

empty:=
space:=$(empty) $(empty)
comma:=,

INCLUDE_DIR:=$(TOPDIR)/include
SCRIPT_DIR:=$(TOPDIR)/scripts
TMP_DIR:=$(TOPDIR)/tmp
BUILD_DIR:=$(TOPDIR)/build_dir/target
STAGING_DIR:=$(TOPDIR)/staging_dir/target
STAGING_DIR_HOST:=$(TOPDIR)/staging_dir/host
STAGING_DIR_HOSTPKG:=$(TOPDIR)/staging_dir/hostpkg

INSTALL_DIR:=install -d -m0755
INSTALL_BIN:=install -m0755
INSTALL_SUID:=install -m4755
INSTALL_DATA:=install -m0644
INSTALL_CONF:=install -m0600

CP:=cp -fpR
LN:=ln -sf
SED:=sed -i -e
FIND:=find
XARGS:=xargs -r
TAR:=tar
BASH:=bash

.PHONY: FORCE
FORCE: ;

endif
