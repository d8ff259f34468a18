"""OpenWrt's own: releases and targets, verified downloads, the SDK. Builds no image."""
