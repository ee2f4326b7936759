local actions = {}
actions["refresh"] = { ["displayName"] = "Reconcile now", ["iconClass"] = "fa fa-fw fa-redo" }
return actions
