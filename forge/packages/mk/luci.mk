# Stands in for LuCI's luci.mk: a LuCI app is its folders htdocs, ucode and root, copied to where they belong, and a
# package luci-i18n-NAME-LANGUAGE for each folder of po/. It does not shrink scripts: that needs LuCI's own host tools.

LUCI_NAME?=$(notdir $(CURDIR))
LUCI_TYPE?=$(word 2,$(subst -, ,$(LUCI_NAME)))
LUCI_BASENAME?=$(patsubst luci-$(LUCI_TYPE)-%,%,$(LUCI_NAME))
LUCI_LANGUAGES:=$(sort $(filter-out templates,$(notdir $(wildcard $(CURDIR)/po/*))))
LUCI_TITLE?=LuCI $(LUCI_NAME) $(LUCI_TYPE)
LUCI_PKGARCH?=all
LUCI_SECTION?=luci
LUCI_CATEGORY?=LuCI
LUCI_URL?=https://github.com/openwrt/luci
LUCI_MAINTAINER?=OpenWrt LuCI community

# What LuCI calls them, on its list of languages. Others are in LuCI's luci.mk.
LUCI_LANG.de=Deutsch (German)

PKG_NAME?=$(LUCI_NAME)
PKG_RELEASE?=1
ifndef PKG_VERSION
  $(error PKG_VERSION is not set: the mini-SDK takes no version from git)
endif
ifneq ($(LUCI_LANGUAGES),)
ifndef PKG_PO_VERSION
  $(error PKG_PO_VERSION is not set: the mini-SDK takes no version from git)
endif
endif

LUCI_LIBRARYDIR=/usr/lib/lua/luci

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
[ -n "$${IPKG_INSTROOT}" ] || { \
	rm -f /tmp/luci-indexcache.*
	rm -rf /tmp/luci-modulecache/
	/etc/init.d/rpcd reload 2>/dev/null
	exit 0
}
endef
endif

LUCI_BUILD_PACKAGES:=$(PKG_NAME)

# 1: language
define LuciTranslation
define Package/luci-i18n-$(LUCI_BASENAME)-$(1)
  SECTION:=luci
  CATEGORY:=LuCI
  TITLE:=$(PKG_NAME) - $(1) translation
  HIDDEN:=1
  DEPENDS:=$(PKG_NAME)
  VERSION:=$(PKG_PO_VERSION)
  PKGARCH:=all
endef

define Package/luci-i18n-$(LUCI_BASENAME)-$(1)/description
    Translation for $(PKG_NAME) - $(LUCI_LANG.$(1))
endef

define Package/luci-i18n-$(LUCI_BASENAME)-$(1)/install
	$$(INSTALL_DIR) $$(1)/etc/uci-defaults
	echo "uci set luci.languages.$(subst -,_,$(1))='$(LUCI_LANG.$(1))'; uci commit luci" \
		> $$(1)/etc/uci-defaults/luci-i18n-$(LUCI_BASENAME)-$(1)
	$$(INSTALL_DIR) $$(1)$(LUCI_LIBRARYDIR)/i18n
	$(foreach po,$(wildcard $(CURDIR)/po/$(1)/*.po),$(PO2LMO) $(po) \
		$$(1)$(LUCI_LIBRARYDIR)/i18n/$(basename $(notdir $(po))).$(1).lmo;)
endef

LUCI_BUILD_PACKAGES+=luci-i18n-$(LUCI_BASENAME)-$(1)
endef

$(foreach language,$(LUCI_LANGUAGES),$(if $(LUCI_LANG.$(language)),,$(error po/$(language): forge/packages/mk/luci.mk has no LUCI_LANG.$(language))))
$(foreach language,$(LUCI_LANGUAGES),$(eval $(call LuciTranslation,$(language))))
$(foreach package,$(LUCI_BUILD_PACKAGES),$(eval $(call BuildPackage,$(package))))
