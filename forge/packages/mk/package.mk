# Stands in for OpenWrt's package.mk. It makes no package: with FORGE_OUT set it hands over what the Makefile says, one
# file a value (NAME@FIELD, closed by a dot that keeps line ends at the end); forge-stage-NAME runs the recipes that fill
# $(FORGE_STAGE). Recipes are expanded as often as OpenWrt does (once by eval, once when they run), so that $$$$ and $$
# mean the same.

ifndef __package_inc
__package_inc:=1

PKG_BUILD_DIR?=$(BUILD_DIR)/$(if $(BUILD_VARIANT),$(PKG_NAME)-$(BUILD_VARIANT)/)$(PKG_NAME)$(if $(PKG_VERSION),-$(PKG_VERSION))
PKG_INSTALL_DIR?=$(PKG_BUILD_DIR)/ipkg-install

# What `define Package/NAME` may set, and what may stand beside it as `define Package/NAME/HOOK`.
FORGE_FIELDS:=ABI_VERSION ALTERNATIVES BUILDONLY CATEGORY CONFIGFILE CONFLICTS DEFAULT DEFAULT_VARIANT DEPENDS \
	DESCRIPTION EXTRA_DEPENDS FILE_MODES HIDDEN KCONFIG LICENSE LICENSE_FILES MAINTAINER MDEPENDS MENU PKGARCH \
	PKGFLAGS PRIORITY PROVIDES SECTION SOURCE SUBMENU SUBMENUDEP TITLE URL USERID VARIANT VERSION
FORGE_HOOKS:=conffiles description postinst postrm preinst prerm

define Package/Default
  SECTION:=opt
  CATEGORY:=Extra packages
  LICENSE:=$(PKG_LICENSE)
  LICENSE_FILES:=$(PKG_LICENSE_FILES)
  MAINTAINER:=$(PKG_MAINTAINER)
  PKGARCH:=$(ARCH_PACKAGES)
  SOURCE:=$(patsubst $(TOPDIR)/%,%,$(CURDIR))
  VERSION:=$(PKG_VERSION)$(if $(PKG_RELEASE),-r$(PKG_RELEASE))
endef

define Build/Prepare/Default
	[ ! -d ./src/ ] || $(CP) ./src/. $(PKG_BUILD_DIR)
endef

define Build/Prepare
$(call Build/Prepare/Default)
endef

define Build/Configure
endef

define FORGE_CORE
.PHONY: forge-compile
forge-compile:
	rm -rf $(PKG_BUILD_DIR)
	mkdir -p $(PKG_BUILD_DIR)
	$(Build/Prepare)
	$(Build/Configure)
	$(Build/Compile)
endef

# 1: package, 2: file, 3: value
FORGE_TELL=$(if $(FORGE_OUT),$(file >$(FORGE_OUT)/$(1)@$(2),$(3).))

define BuildPackage
$(foreach field,$(FORGE_FIELDS),$(eval undefine $(field)))
$(eval $(Package/Default))
$(eval FORGE_BEFORE:=$(.VARIABLES))
$(eval $(Package/$(1)))
$(call FORGE_TELL,$(1),unknown,$(filter-out $(FORGE_BEFORE) $(FORGE_FIELDS) FORGE_BEFORE,$(.VARIABLES)))
$(foreach field,$(FORGE_FIELDS),$(call FORGE_TELL,$(1),$(field),$(if $(filter undefined,$(origin $(field))),,$($(field)))))
$(foreach hook,$(FORGE_HOOKS),$(if $(value Package/$(1)/$(hook)),$(call FORGE_TELL,$(1),$(hook),$(call Package/$(1)/$(hook)))))
$(if $(FORGE_OUT),$(file >>$(FORGE_OUT)/packages,$(1)))
$(if $(FORGE_CORE_DONE),,$(eval FORGE_CORE_DONE:=1)$(eval $(FORGE_CORE)))
.PHONY: forge-stage-$(1)
forge-stage-$(1): forge-compile
	$(call Package/$(1)/install,$$(FORGE_STAGE))
endef

# Everything is read by now: all that the Makefile defines, for the check for misspelt names.
.PHONY: forge-tell
forge-tell:
	@:$(foreach name,$(filter Build/% Package/% PKG_%,$(.VARIABLES)),$(file >>$(FORGE_OUT)/names,$(name)))
	@:$(foreach name,PKG_NAME PKG_VERSION PKG_RELEASE PKG_SOURCE PKG_FLAGS PKG_CPE_ID,$(call FORGE_TELL,,$(name),$($(name))))

endif
