"""Pose estimation for superlink: any keypoint of any class, asked for in words."""
