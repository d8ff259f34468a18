# Stands in for LuCI's luci.mk: a LuCI app is its folders htdocs, ucode and root, copied to where they belong. It neither
# shrinks scripts nor makes translation packages from po/: those need LuCI's own host tools.

LUCI_NAME?=$(notdir $(CURDIR))
LUCI_TITLE?=LuCI $(LUCI_NAME)
LUCI_PKGARCH?=all
LUCI_SECTION?=luci
LUCI_CATEGORY?=LuCI
LUCI_URL?=https://github.com/openwrt/luci
LUCI_MAINTAINER?=OpenWrt LuCI community
LUCI_DEFAULTS:=$(notdir $(wildcard $(CURDIR)/root/etc/uci-defaults/*))

PKG_NAME?=$(LUCI_NAME)
PKG_RELEASE?=1
ifndef PKG_VERSION
  $(error PKG_VERSION is not set: the mini-SDK takes no version from git)
endif

include $(INCLUDE_DIR)/package.mk

define Package/$(PKG_NAME)
  SECTION:=$(LUCI_SECTION)
  CATEGORY:=$(LUCI_CATEGORY)
  TITLE:=$(LUCI_TITLE)
  DEPENDS:=$(LUCI_DEPENDS)
  PKGARCH:=$(LUCI_PKGARCH)
  $(if $(PKG_PROVIDES),PROVIDES:=$(PKG_PROVIDES))
  URL:=$(LUCI_URL)
  MAINTAINER:=$(LUCI_MAINTAINER)
endef

ifneq ($(LUCI_DESCRIPTION),)
define Package/$(PKG_NAME)/description
 $(strip $(LUCI_DESCRIPTION))
endef
endif

define Build/Prepare
endef

define Build/Compile
endef

# 1: the package's root, 2: folder here, 3: folder there
luci-folder=$(if $(wildcard $(2)/.),$(INSTALL_DIR) $(1)$(3) && $(CP) $(2)/. $(1)$(3)/,:)

define Package/$(PKG_NAME)/install
	$(call luci-folder,$(1),./htdocs,/www)
	$(call luci-folder,$(1),./ucode,/usr/share/ucode/luci)
	$(call luci-folder,$(1),./root,)
endef

# default_postinst reads this with `.`: it needs no #! line. rpcd learns of new ACLs, browsers of new menu entries.
ifndef Package/$(PKG_NAME)/postinst
define Package/$(PKG_NAME)/postinst
[ -n "$${IPKG_INSTROOT}" ] || {$(foreach script,$(LUCI_DEFAULTS), (. /etc/uci-defaults/$(script)) && rm -f /etc/uci-defaults/$(script);)
	rm -f /tmp/luci-indexcache.*
	rm -rf /tmp/luci-modulecache/
	/etc/init.d/rpcd reload 2>/dev/null
	exit 0
}
endef
endif

$(eval $(call BuildPackage,$(PKG_NAME)))
