local actions = {}
actions["refresh"] = { ["displayName"] = "Look now", ["iconClass"] = "fa fa-fw fa-redo" }
return actions
